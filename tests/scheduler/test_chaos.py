"""Random faults in one campaign on PostgreSQL, Redis and Ray: all that can be killed is, and the rows are the same."""

import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

FAULTS = int(os.environ.get("SLUICE_TEST_FAULTS", "5"))
SEED = int(os.environ.get("SLUICE_TEST_SEED", "1"))
CATIONS = ("Cu", "Ba", "Ga", "In", "Sn", "Cs", "Ag", "Zn", "Pb", "Ge", "Sb", "Na", "K", "Li", "Mg", "Bi")
CHUNKS = {
    "source": {
        "kind": "enumerate",
        "cations": list(CATIONS),
        "anions": ["S", "Se", "Te", "I", "O", "F"],
        "cation_counts": [2] if FAULTS <= 5 else [2, 3],
    },
    "predict": {"where": "band_gap >= 1.0"},
}
PARTS = {"worker": None, "dispatcher": None, "ray": None, "actor": "ray::ModelHost", "raylet": "raylet/raylet",
         "control service": "gcs_server"}  # fmt: skip
pytestmark = pytest.mark.timeout(250 * (FAULTS + 2))


class Storm:
    """A site, its servers and its machine, which is started again whenever it ends, as a service manager would."""

    def __init__(self, site, redis_server, postgres) -> None:
        self.site, self.redis, self.postgres = site, redis_server, postgres
        self.machine: subprocess.Popen[bytes] = site.machine()
        self.hits: Counter[str] = Counter()
        self.faults: dict[str, Callable[[], bool]] = {
            **{name: lambda name=name: self.kill(name) for name in PARTS},
            "supervisor": self.kill_supervisor,
            "Redis": self.wipe,
            "PostgreSQL": self.restart,
            "all": self.kill_all,
        }

    def strike(self, name: str) -> None:
        """Wait for one more chunk, then let the fault happen; what has no target yet is waited for."""
        self.until(self.one_more())
        self.until(self.faults[name])
        self.hits[name] += 1

    def until(self, happens: Callable[[], bool]) -> None:
        def looked() -> bool:
            if self.machine.poll() is not None:
                self.hits["started again"] += 1
                self.machine = self.site.machine()
            return happens()

        self.site.soon(looked)

    def one_more(self) -> Callable[[], bool]:
        before = self.site.chunks("done")
        assert not self.site.done(), "the campaign is too small for so many faults"
        return lambda: self.site.chunks("done") > before

    def kill(self, name: str) -> bool:
        """Kill a part of the machine, or a process below its Ray; whether there was one."""
        words = PARTS[name]
        pids = [self.site.pid(name)] if words is None else self.site.below("ray", words)
        return any(kill(pid) for pid in pids[:1])

    def kill_supervisor(self) -> bool:
        self.machine.kill()
        self.machine.wait()
        return True

    def wipe(self) -> bool:
        self.redis.stop()
        self.redis.start()
        return True

    def restart(self) -> bool:
        self.postgres.stop()
        self.postgres.start()
        return True

    def kill_all(self) -> bool:
        pids = [self.site.pid(name) for name in ("worker", "dispatcher", "ray")] + self.site.below("ray", "")
        self.kill_supervisor()
        for pid in pids:
            kill(pid)
        return self.wipe() and self.restart()


def kill(pid: int | None) -> bool:
    with suppress(ProcessLookupError, TypeError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def test_random_faults_lose_and_double_nothing(redis_server, own_postgres, sites, undisturbed) -> None:
    storm = Storm(sites(own_postgres.url, redis_server.url, CHUNKS), redis_server, own_postgres)
    for name in random.Random(SEED).choices(list(storm.faults), k=FAULTS):
        storm.strike(name)
        print(f"{name}, {storm.site.chunks('done')} chunks done", flush=True)
    storm.until(storm.site.done)
    print(dict(storm.hits), dict(storm.site.ledger().sums))
    assert storm.site.hash() == undisturbed(CHUNKS)
