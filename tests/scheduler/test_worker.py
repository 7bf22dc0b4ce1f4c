"""Worker and dispatcher as real processes over Redis, with a model that stands in for the actors: told to stop, killed,
and without their broker, they neither lose nor double a chunk."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.campaigns import create_campaign
from scheduler.spec import parse_spec
from storage.campaigns import read_campaign
from storage.engine import open_database, reading
from storage.funnels import funnel
from storage.hashes import content_hash
from storage.ledgers import StageLedger, stage_ledgers
from storage.states import CampaignState, ChunkState

ROOT = Path(__file__).parents[2]
DISPATCHER = ("-c", "from api.cli import main; main()", "dispatcher")
# The worker as it is, but for the actors: each batch takes a moment, each answer depends on its formula alone.
WORKER = (
    "-c",
    """
import sys, time, zlib
from scheduler import worker
class Pools:
    def __init__(self, settings): pass
    def pool(self, role, name): return self
    def warm(self): pass
    def run(self, method, items, options, batch, seconds, use):
        time.sleep(0.3)
        return [{"band_gap": (zlib.crc32(item.encode()) % 100 / 25, 0.1), "e_above_hull": (0.1, 0.1)} for item in items]
worker.Pools = Pools
raise SystemExit(worker.main(sys.argv[1:]))
""",
    "--queues",
    "predict",
    "--threads",
    "2",
)
PATIENCE = 250
FAULTS = int(os.environ.get("SLUICE_TEST_FAULTS", "5"))
SEED = int(os.environ.get("SLUICE_TEST_SEED", "1"))
pytestmark = pytest.mark.timeout(PATIENCE * (FAULTS + 2))
KINDS = ("worker", "dispatcher", "broker", "all")
TABLES = {
    "source": {
        "kind": "enumerate",
        "cations": ["Cu", "Ba", "Ga", "In", "Sn", "Cs", "Ag", "Zn", "Pb", "Ge", "Sb", "Na", "K"],
        "anions": ["S", "Se", "Te", "I", "O", "F"],
        "cation_counts": [2] if FAULTS <= 5 else [2, 3],
    },
    "predict": {"where": "band_gap >= 1.0"},
}


class Site:
    """A database, the processes that serve it, and what they say."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        self.folder = folder
        url = f"sqlite:///{folder / 'test.db'}"
        own = {"SLUICE_DATABASE_URL": url, "SLUICE_BROKER_URL": broker_url}
        self.environment = {**os.environ, **own}
        self.engine = open_database(url)
        self.campaign = create_campaign(self.engine, parse_spec(TABLES, "test"))
        self.started: list[subprocess.Popen[bytes]] = []

    def begin(self, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
        with (self.folder / "out").open("ab") as out:
            command = [sys.executable, *arguments]
            self.started.append(subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=out, stderr=out))
        return self.started[-1]

    def ledger(self) -> StageLedger | None:
        with reading(self.engine) as session:
            return next(iter(stage_ledgers(session)), None)

    def chunks(self, state: ChunkState) -> int:
        found = self.ledger()
        return found.chunks.get(state, 0) if found else 0

    def done(self) -> bool:
        with reading(self.engine) as session:
            return read_campaign(session, self.campaign).state == CampaignState.DONE

    def hash(self) -> str:
        with reading(self.engine) as session:
            [report] = funnel(session, self.campaign)
            assert report.counts.input == report.source_size
            return content_hash(session, self.campaign)

    def soon(self, happens: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE
        while not happens():
            assert time.monotonic() < ends, (self.folder / "out").read_text()
            time.sleep(0.02)

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
        self.engine.dispose()


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    site = Site(tmp_path, redis_url)
    yield site
    site.end()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What one worker and one dispatcher find that nobody disturbs, without a server."""
    quiet = Site(tmp_path_factory.mktemp("quiet"), "filesystem://")
    try:
        quiet.begin(DISPATCHER)
        quiet.begin(WORKER)
        quiet.soon(quiet.done)
        return quiet.hash()
    finally:
        quiet.end()


def test_a_worker_that_is_told_to_stop_ends_its_chunks_and_begins_no_others(site: Site, undisturbed: str) -> None:
    site.begin(DISPATCHER)
    first = site.begin(WORKER)
    site.soon(lambda: site.chunks(ChunkState.RUNNING) > 0)
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    left = site.ledger()
    assert left is not None
    assert left.chunks.get(ChunkState.RUNNING, 0) == left.sums["errors"] == left.sums["expiries"] == 0
    assert 0 < left.sums["attempt"] == left.chunks[ChunkState.DONE] < sum(left.chunks.values())
    site.begin(WORKER)
    site.soon(site.done)
    assert site.hash() == undisturbed


def test_random_faults_lose_and_double_nothing(site: Site, undisturbed: str) -> None:
    """Workers and dispatchers killed, Redis wiped and cut off, each time after another chunk was done."""
    chosen = random.Random(SEED).choices(KINDS, k=FAULTS)
    dispatcher, worker = site.begin(DISPATCHER), site.begin(WORKER)
    for fault in chosen:
        before = site.chunks(ChunkState.DONE)
        site.soon(lambda done=before: site.done() or site.chunks(ChunkState.DONE) > done)
        assert not site.done(), "the campaign is too small for so many faults"
        if fault in ("worker", "all"):
            worker.kill()
            worker = site.begin(WORKER)
        if fault in ("dispatcher", "all"):
            dispatcher.kill()
            dispatcher = site.begin(DISPATCHER)
        if fault in ("broker", "all"):
            wipe(site.environment["SLUICE_BROKER_URL"])
    site.soon(site.done)
    assert site.hash() == undisturbed


def wipe(url: str) -> None:
    """Empty Redis and cut its connections."""
    host, port = url.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"FLUSHALL\r\nCLIENT KILL TYPE normal SKIPME yes\r\n")
        assert connection.recv(100).startswith(b"+OK")
