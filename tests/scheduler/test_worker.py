"""Worker and dispatcher as real processes, told to stop, killed, and without what they stand on: they neither lose nor
double a chunk."""

import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.engine import reading, transaction
from storage.leader import read_leader
from storage.states import ChunkState

PATIENCE = 250
pytestmark = pytest.mark.timeout(4 * PATIENCE)
YEAR = 365 * 86400


@pytest.fixture
def site(tmp_path: Path, redis_url: str, sites):
    return sites(f"sqlite:///{tmp_path / 'test.db'}", redis_url)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("only root mounts a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_worker_that_is_told_to_stop_ends_its_chunks_and_begins_no_others(site, undisturbed) -> None:
    site.dispatcher()
    first = site.worker()
    site.soon(lambda: site.chunks(ChunkState.RUNNING) > 0)
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    left = site.ledger()
    assert left.chunks.get(ChunkState.RUNNING, 0) == left.sums["errors"] == left.sums["expiries"] == 0
    assert 0 < left.sums["attempt"] == left.chunks[ChunkState.DONE] < sum(left.chunks.values())
    site.worker()
    site.soon(site.done)
    assert site.hash() == undisturbed()


def test_a_killed_worker_s_chunks_go_to_the_next_when_its_lease_ends(site, undisturbed) -> None:
    site.dispatcher()
    first = site.worker()
    site.soon(lambda: site.chunks(ChunkState.RUNNING) > 0)
    first.kill()
    first.wait()
    site.worker()
    site.soon(site.done)
    assert site.ledger().sums["expiries"] > 0
    assert site.hash() == undisturbed()


def test_of_two_dispatchers_the_other_leads_when_one_is_killed(site, undisturbed) -> None:
    def lead() -> tuple[str, int]:
        with reading(site.engine) as session:
            leader = read_leader(session)
        return leader.holder, leader.epoch

    first = site.dispatcher()
    site.soon(lambda: lead()[1] == 1)
    site.dispatcher()
    site.worker()
    site.another_chunk()
    assert lead()[1] == 1, "one leads while it lives"
    first.kill()
    site.soon(site.done)
    assert lead()[1] == 2
    assert site.hash() == undisturbed()


def test_redis_stopped_for_a_while_and_empty_afterwards(site, redis_server, undisturbed) -> None:
    site.dispatcher()
    site.worker()
    site.another_chunk()
    redis_server.stop()
    threading.Event().wait(3)
    redis_server.start()
    site.soon(site.done)
    assert site.hash() == undisturbed()


def test_a_wall_clock_that_jumps_changes_nothing(site, undisturbed) -> None:
    clock = Path(site.environment["SLUICE_TEST_CLOCK"])
    site.dispatcher()
    site.worker()
    for jump in (YEAR, -YEAR, 0):
        site.another_chunk()
        clock.with_suffix(".new").write_text(str(jump))
        clock.with_suffix(".new").replace(clock)
    site.soon(site.done)
    assert site.hash() == undisturbed()


def test_postgresql_restarted_inside_a_transaction_that_records(own_postgres, redis_url, sites, undisturbed) -> None:
    site = sites(own_postgres.url, redis_url)
    site.dispatcher()
    site.worker()
    site.another_chunk()

    def a_writer_waits() -> bool:
        with transaction(site.engine) as session:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE 'COPY%'"
            return bool(session.execute(text(waiting)).scalar())

    with site.engine.connect() as barrier:
        barrier.execute(text("LOCK TABLE candidate IN EXCLUSIVE MODE"))
        site.soon(a_writer_waits)
        own_postgres.stop()
        barrier.invalidate()
    threading.Event().wait(2)
    own_postgres.start()
    site.soon(site.done)
    assert site.hash() == undisturbed()


def test_a_disk_that_is_full_for_a_while(small_disk: Path, redis_url: str, sites, undisturbed) -> None:
    site = sites(f"sqlite:///{small_disk / 'test.db'}", redis_url)
    site.dispatcher()
    site.worker()
    site.another_chunk()
    ballast = small_disk / "ballast"
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k", "status=none"], capture_output=True)
    assert shutil.disk_usage(small_disk).free == 0
    site.soon(lambda: "disk is full" in site.said())
    before = site.chunks(ChunkState.DONE)
    threading.Event().wait(2)
    assert site.chunks(ChunkState.DONE) == before, "nothing is done where nothing can be stored"
    ballast.unlink()
    site.soon(site.done)
    assert site.hash() == undisturbed()
