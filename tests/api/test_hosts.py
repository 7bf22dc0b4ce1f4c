"""`sluice up`, `worker` and `dispatcher` as real processes, together and apart, told to stop and not."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from sqlalchemy import Engine

from storage.campaigns import read_campaign
from storage.engine import open_database, reading
from storage.hashes import content_hash
from storage.ledgers import stage_ledgers
from storage.states import CampaignState, ChunkState, StageName

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds on a busy machine; an idle one needs less than ten
SLUICE = ("-c", "from api.cli import main; main()")
SPEC = """
[source]
kind = "enumerate"
cations = ["Cu", "Ba", "Ga", "In", "Sn", "Cs", "Ag", "Zn", "Pb"]
anions = ["S", "Se", "Te", "I"]
cation_counts = [2]
max_atoms = 12
[predict]
where = "band_gap >= 1.0"
[explain]
top = 40
"""


class Site:
    """A folder with a spec, the environment that its commands share, and the processes that they started."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}
        self.started: list[subprocess.Popen[str]] = []
        (folder / "small.toml").write_text(SPEC)

    def call(self, *arguments: str) -> str:
        command = [sys.executable, *SLUICE, *arguments]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, *arguments]
        with (self.folder / "out").open("a") as out:
            process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=out, stderr=out, text=True)
        self.started.append(process)
        return process

    def create(self) -> int:
        created = self.call("screen", str(self.folder / "small.toml"), "--seed", "5", "--detach", "--json")
        return int(json.loads(created)["campaign"])

    def said(self) -> str:
        return (self.folder / "out").read_text()

    def end(self) -> None:
        for process in reversed(self.started):
            process.kill()
            process.wait()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, {"SLUICE_DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}"})
    yield site
    site.end()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("screen")
    site = Site(folder, {"SLUICE_DATABASE_URL": f"sqlite:///{folder / 'test.db'}"})
    site.call("screen", str(folder / "small.toml"), "--seed", "5", "--json")
    return found(open_database(str(folder / "test.db")), 1)


def found(engine: Engine, campaign_id: int) -> str:
    with reading(engine) as session:
        return content_hash(session, campaign_id)


def state(engine: Engine, campaign_id: int) -> CampaignState:
    with reading(engine) as session:
        return read_campaign(session, campaign_id).state


def chunks(engine: Engine, chunk_state: ChunkState) -> int:
    with reading(engine) as session:
        return sum(ledger.chunks.get(chunk_state, 0) for ledger in stage_ledgers(session))


def soon(happens: Callable[[], bool], site: Site, seconds: float = PATIENCE) -> None:
    ends = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < ends, site.said()
        time.sleep(0.05)


@pytest.mark.timeout(3 * PATIENCE)
def test_up_serves_what_was_created_apart_and_stops_when_told(embedded: Site, undisturbed: str) -> None:
    campaign = embedded.create()
    engine = open_database(str(embedded.folder / "test.db"))
    assert state(engine, campaign) == CampaignState.RUNNING and chunks(engine, ChunkState.DONE) == 0
    up = embedded.begin(*SLUICE, "up", "--concurrency", "4")
    soon(lambda: state(engine, campaign) == CampaignState.DONE, embedded)
    assert found(engine, campaign) == undisturbed
    second = embedded.begin(*SLUICE, "up")
    assert second.wait(PATIENCE) == 2
    assert "another process runs this host's machine" in embedded.said()
    up.send_signal(signal.SIGTERM)
    assert up.wait(PATIENCE) == 0, embedded.said()
    assert "Traceback" not in embedded.said()


@pytest.mark.timeout(3 * PATIENCE)
def test_parts_run_apart_drain_and_find_the_same(redis_url: str, tmp_path: Path, undisturbed: str) -> None:
    token = tmp_path / "token"
    token.write_text("a" * 64)
    urls = {"SLUICE_DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}", "SLUICE_BROKER_URL": redis_url}
    apart = Site(tmp_path, {**urls, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)})
    try:
        check_apart(apart, undisturbed)
    finally:
        apart.end()


def check_apart(apart: Site, undisturbed: str) -> None:
    port = free_port()
    apart.environment["SLUICE_RAY_ADDRESS"] = ray_address(apart)
    campaign = apart.create()
    engine = open_database(str(apart.folder / "test.db"))
    apart.begin(*SLUICE, "dispatcher", "--metrics-port", str(port))
    first = apart.begin(*SLUICE, "worker", "--queues", "predict", "--concurrency", "2")
    soon(lambda: chunks(engine, ChunkState.RUNNING) > 0, apart)
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0, apart.said()
    with reading(engine) as session:
        [predict] = stage_ledgers(session)
    assert predict.chunks.get(ChunkState.RUNNING, 0) == predict.sums["expiries"] == predict.sums["errors"] == 0
    assert predict.sums["attempt"] == predict.chunks[ChunkState.DONE] > 0, "what ran was drained, not cut off"
    apart.begin(*SLUICE, "worker", "--queues", "predict,csp", "--concurrency", "4")
    apart.begin(*SLUICE, "worker", "--queues", "explain", "--pool", "solo")
    soon(lambda: state(engine, campaign) == CampaignState.DONE, apart)
    assert found(engine, campaign) == undisturbed
    text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode()
    assert f'sluice_chunks_ended_total{{stage="{StageName.EXPLAIN}",state="done"}} 2.0' in text
    assert "Traceback" not in apart.said()


def ray_address(apart: Site) -> str:
    """The address of a Ray of the test's own; a busy machine may need several tries, since Ray waits half a minute."""
    node = apart.folder / "node.json"
    for attempt in range(5):
        # Ray's sockets need a short path.
        temporary = f"/tmp/sluice-test-{os.getpid()}-{attempt}"
        started = apart.begin("-m", "scheduler.ray_node", "--node-file", str(node), "--temporary", temporary)
        soon(lambda process=started: node.exists() or process.poll() is not None, apart)
        if node.exists():
            (apart.folder / "out").write_text("")
            return str(json.loads(node.read_text())["address"])
    raise AssertionError(apart.said())


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_worker_without_ray_says_what_it_needs(sluice, database: Path) -> None:
    done = sluice("worker", "--db", database)
    assert done.status == 2
    assert "SLUICE_RAY_ADDRESS" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("worker", "--queues", "predict,cps"), ["cps", "csp"]),
        (("worker", "--pool", "prefork"), ["prefork", "threads"]),
        (("up", "--concurrency", "0"), ["0"]),
        (("dispatcher", "--metrics-port", "99999"), ["99999"]),
    ],
)
def test_a_mistake_is_one_line(sluice, arguments: tuple[str, ...], words: list[str]) -> None:
    done = sluice(*arguments)
    assert (done.status, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert all(word in done.stderr for word in words), done.stderr
