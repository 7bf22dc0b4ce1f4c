"""A campaign with the processes that serve it, for tests that disturb them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.campaigns import create_campaign
from scheduler.processes import read_known
from scheduler.spec import parse_spec
from storage.campaigns import read_campaign
from storage.engine import open_database, reading
from storage.funnels import funnel
from storage.hashes import content_hash
from storage.ledgers import StageLedger, stage_ledgers
from storage.states import CampaignState, ChunkState

ROOT = Path(__file__).parents[2]
PATIENCE = 250  # seconds on a busy machine
TEN_CHUNKS = {
    "source": {
        "kind": "enumerate",
        "cations": ["Cu", "Ba", "Ga", "In", "Sn", "Cs", "Ag", "Zn", "Pb", "Ge", "Sb", "Na", "K"],
        "anions": ["S", "Se", "Te", "I", "O", "F"],
        "cation_counts": [2],
    },
    "predict": {"where": "band_gap >= 1.0"},
}
SLUICE = ("-c", "from api.cli import main; main()")
# A model whose answers depend on the formula alone. It dies of one formula and never answers for another, if so told.
MODEL = """
import os, time, zlib
POISON, HANG = os.environ.get("SLUICE_TEST_POISON"), os.environ.get("SLUICE_TEST_HANG")
class Model:
    def predict(self, items):
        time.sleep(0.1)
        if POISON in items: os._exit(1)
        if HANG in items: time.sleep(3600)
        return [{"band_gap": (zlib.crc32(item.encode()) % 100 / 25, 0.1), "e_above_hull": (0.1, 0.1)} for item in items]
"""
# The worker as it is, but for its model: in its own process, without Ray.
ALONE = f"""{MODEL}
import sys
from scheduler import worker
class Pools:
    def __init__(self, settings): pass
    def pool(self, role, name): return self
    def run(self, method, items, options, batch, seconds, use):
        time.sleep(0.2)
        return Model().predict(items)
worker.Pools = Pools
"""
# The wall clock of a process jumps by the seconds that a file tells.
JUMPING = """
import pathlib, time
_true = time.time
def _time():
    try: return _true() + float(pathlib.Path(os.environ["SLUICE_TEST_CLOCK"]).read_text())
    except (OSError, ValueError): return _true()
time.time = _time
"""
# The worker as it is, its actors too, but for what these load; patience with a batch is short.
IN_ACTORS = f"""{MODEL}
from functools import partial
from scheduler import pools, worker
def load(name, device): return Model()
pools.load_model, pools.Pool = load, partial(pools.Pool, batch_seconds=5.0)
if __name__ == "__main__":
    raise SystemExit(worker.main())
"""
MACHINE = """
import sys
from scheduler import supervisor
supervisor.MODULES["worker"] = "in_actors"
from api.cli import main
sys.argv[0] = "sluice"
main()
"""


class Site:
    """A database with a campaign, the processes that serve it, and what they say."""

    def __init__(self, folder: Path, database_url: str, broker_url: str, tables: Mapping[str, object]) -> None:
        self.folder = folder
        (folder / "in_actors.py").write_text(IN_ACTORS)
        self.environment = {
            **os.environ,
            "SLUICE_DATABASE_URL": database_url,
            "SLUICE_BROKER_URL": broker_url,
            "SLUICE_FOLDER": str(folder / "machine"),
            "SLUICE_LEASE_SECONDS": "5",
            "SLUICE_TEST_CLOCK": str(folder / "clock"),
            "RAY_worker_niceness": "0",  # or actors would hardly run where others do
            "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        }
        self.engine: Engine = open_database(database_url)
        self.campaign = create_campaign(self.engine, parse_spec(dict(tables), "test"))
        self.started: list[subprocess.Popen[bytes]] = []

    def dispatcher(self) -> "subprocess.Popen[bytes]":
        return self.begin("-c", f"import os{JUMPING}from api.cli import main; main()", "dispatcher")

    def worker(self) -> "subprocess.Popen[bytes]":
        """A worker with its model in its own process."""
        script = f"{ALONE}{JUMPING}raise SystemExit(worker.main(sys.argv[1:]))"
        return self.begin("-c", script, "--queues", "predict", "--threads", "2")

    def machine(self) -> "subprocess.Popen[bytes]":
        """`sluice up`, its model in actors."""
        return self.begin("-c", MACHINE, "up")

    def begin(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "out").open("ab") as out:
            command = [sys.executable, *arguments]
            process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=out, stderr=out)
        self.started.append(process)
        return process

    def pid(self, role: str) -> int | None:
        """A part of the machine."""
        known = [known.pid for known in read_known(self.folder / "machine") if known.role == role]
        return known[0] if known else None

    def below(self, role: str, words: str) -> list[int]:
        """Processes that a part of the machine has started, by words of their command."""
        listed = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True).stdout
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        family = {str(self.pid(role))}
        while grown := {row[0] for row in rows if row[1] in family} - family:
            family |= grown
        return [int(pid) for pid, _, command in rows if pid in family and words in command]

    def said(self) -> str:
        logs = [self.folder / "out", *sorted((self.folder / "machine").glob("*.log"))]
        return "\n".join(path.read_text(errors="replace")[-20_000:] for path in logs if path.exists())

    def ledger(self) -> StageLedger | None:
        with reading(self.engine) as session:
            return next(iter(stage_ledgers(session)), None)

    def chunks(self, state: ChunkState) -> int:
        found = self.ledger()
        return found.chunks.get(state, 0) if found else 0

    def done(self) -> bool:
        with reading(self.engine) as session:
            state = read_campaign(session, self.campaign).state
        assert state != CampaignState.FAILED, self.said()
        return state == CampaignState.DONE

    def hash(self) -> str:
        with reading(self.engine) as session:
            [report] = funnel(session, self.campaign)
            assert report.counts.input == report.source_size
            return content_hash(session, self.campaign)

    def soon(self, happens: Callable[[], bool], look: float = 0.05) -> None:
        ends = time.monotonic() + PATIENCE
        while not happens():
            assert time.monotonic() < ends, self.said()
            time.sleep(look)

    def another_chunk(self) -> None:
        """Wait until one more chunk is done; a campaign that is done has none."""
        before = self.chunks(ChunkState.DONE)
        self.soon(lambda: self.chunks(ChunkState.DONE) > before or self.done())
        assert not self.done(), "the campaign is too small for so many faults"

    def end(self) -> None:
        for process in reversed(self.started):
            process.kill()
            process.wait()
        self.engine.dispose()


Sites = Callable[..., Site]


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    """Makes a site on a database and a broker; what it starts is ended with the test."""
    made: list[Site] = []

    def make(database_url: str, broker_url: str = "filesystem://", tables: Mapping[str, object] = TEN_CHUNKS) -> Site:
        made.append(Site(tmp_path, database_url, broker_url, tables))
        return made[-1]

    yield make
    for site in made:
        site.end()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, object]], str]:
    """The content hash of a campaign that one worker and one dispatcher run and that nobody disturbs."""
    known: dict[str, str] = {}

    def run(tables: Mapping[str, object] = TEN_CHUNKS) -> str:
        if repr(tables) not in known:
            folder = tmp_path_factory.mktemp("quiet")
            quiet = Site(folder, f"sqlite:///{folder / 'test.db'}", "filesystem://", tables)
            try:
                quiet.dispatcher()
                quiet.worker()
                quiet.soon(quiet.done)
                known[repr(tables)] = quiet.hash()
            finally:
                quiet.end()
        return known[repr(tables)]

    return run
