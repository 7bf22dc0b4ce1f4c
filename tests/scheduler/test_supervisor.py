"""The machine of one host: parts that die are replaced, what a killed supervisor left is ended first."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.errors import MachineFailed
from scheduler.processes import Known, read_known, started_at, write_known
from scheduler.settings import Settings, load_settings
from scheduler.supervisor import DISPATCHER, RESTARTS, WORKER, Machine, machine
from storage.engine import open_database, reading, transaction
from storage.heartbeats import Beat, join, read_beats
from storage.leader import read_leader, take_leadership


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a Ray elsewhere, so that none is started here; nobody asks it anything."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    return load_settings({"SLUICE_DATABASE_URL": url, "SLUICE_RAY_ADDRESS": "127.0.0.1:1", "SLUICE_LEASE_SECONDS": "2"})


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return open_database(settings.database_url)


@pytest.fixture
def running(settings: Settings, engine: Engine) -> Iterator[Machine]:
    with machine(settings, engine) as started:
        assert started is not None
        yield started


def part(settings: Settings, role: str) -> Known:
    return next(known for known in read_known(settings.folder) if known.role == role)


def beats(engine: Engine) -> dict[str, Beat]:
    with reading(engine) as session:
        return {beat.worker_id: beat for beat in read_beats(session)}


def replaced(settings: Settings, running: Machine, first: Known) -> Known:
    """The process that takes a dead one's place."""

    def looked() -> bool:
        running.check(time.monotonic())
        return part(settings, first.role).name != first.name

    soon(looked)
    return part(settings, first.role)


def soon(happens: Callable[[], bool], seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "told"), [(signal.SIGKILL, "planned"), (signal.SIGSEGV, "unplanned")])
def test_worker_that_dies_is_replaced_and_its_end_is_told(
    settings: Settings, engine: Engine, running: Machine, number: signal.Signals, told: str
) -> None:
    first, dispatcher = part(settings, WORKER), part(settings, DISPATCHER)
    soon(lambda: first.name in beats(engine))
    os.kill(dispatcher.pid, signal.SIGSTOP)  # it forgets ends that it has seen
    try:
        os.kill(first.pid, number)
        second = replaced(settings, running, first)
        assert started_at(second.pid) == second.started
        assert beats(engine)[first.name].exited == told
    finally:
        os.kill(dispatcher.pid, signal.SIGCONT)


def test_dispatcher_that_dies_need_not_be_waited_for(settings: Settings, engine: Engine, running: Machine) -> None:
    def holder() -> str:
        with reading(engine) as session:
            return read_leader(session).holder

    soon(lambda: holder() == part(settings, DISPATCHER).name)
    first = part(settings, DISPATCHER)
    os.kill(first.pid, signal.SIGKILL)
    replaced(settings, running, first)
    assert holder() == ""


def test_part_that_keeps_dying_ends_the_machine_with_its_last_words(settings: Settings, running: Machine) -> None:
    with pytest.raises(MachineFailed, match=r"the dispatcher process keeps ending \(status -9\)"):
        for _ in range(RESTARTS):
            first = part(settings, DISPATCHER)
            os.kill(first.pid, signal.SIGKILL)
            replaced(settings, running, first)


def test_leftovers_are_ended_and_their_end_is_told(settings: Settings, engine: Engine) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    settings.folder.mkdir()
    known = Known(WORKER, left.pid, started_at(left.pid) or "", "worker-left")
    write_known(settings.folder, [known, Known(DISPATCHER, 2**22 + 1, "1", "dispatcher-left")])
    with transaction(engine) as session:
        join(session, "worker-left", True, ["predict"], 0)
        take_leadership(session, "dispatcher-left", read_leader(session))
    with machine(settings, engine) as running:
        assert running is not None
        assert left.wait(5) == -signal.SIGTERM
        assert beats(engine)["worker-left"].exited == "planned"
        names = {known.name for known in read_known(settings.folder)}
    assert "worker-left" not in names and len(names) == 2


def test_second_supervisor_of_a_host_keeps_out_and_children_end_with_theirs(settings: Settings, engine: Engine) -> None:
    with machine(settings, engine) as running:
        assert running is not None
        with machine(settings, engine) as second:
            assert second is None
        pids = [known.pid for known in read_known(settings.folder)]
    assert [started_at(pid) for pid in pids] == [None, None]
    assert read_known(settings.folder) == []
