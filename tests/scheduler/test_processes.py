"""Processes by pid and start time: ended when they are ours, left alone when the pid is someone else's."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.processes import Known, end, read_known, sole, started_at, write_known

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


@pytest.fixture
def spawn() -> Iterator[object]:
    spawned: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> Known:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        spawned.append(process)
        return Known("test", process.pid, started_at(process.pid) or "", "")

    yield start
    for process in spawned:
        process.kill()
        process.communicate()


def test_process_is_ended_gently_or_by_force(spawn) -> None:  # type: ignore[no-untyped-def]
    known = [spawn(SLEEP), spawn(STUBBORN)]
    end(known, patience=0.5)
    assert [started_at(process.pid) for process in known] == [None, None]


def test_another_process_with_the_same_pid_is_left_alone(spawn) -> None:  # type: ignore[no-untyped-def]
    living = spawn(SLEEP)
    end([Known("test", living.pid, "1", "")], patience=0.1)
    assert started_at(living.pid) == living.started


def test_no_process_has_no_start(spawn) -> None:  # type: ignore[no-untyped-def]
    gone = spawn(SLEEP)
    end([gone], patience=1)
    assert started_at(gone.pid) is None
    end([gone], patience=1)


def test_pid_file_comes_back(tmp_path: Path) -> None:
    assert read_known(tmp_path) == []
    known = [Known("worker", 12, "34", "worker-1"), Known("ray", 13, "35", "/tmp/x")]
    write_known(tmp_path, known)
    assert read_known(tmp_path) == known
    (tmp_path / "processes.json").write_text("[{")
    assert read_known(tmp_path) == []


def test_one_supervisor_at_a_time_and_the_kernel_ends_a_dead_ones_claim(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from scheduler.processes import sole\n"
        "with sole(Path(sys.argv[1])) as mine: print(mine, flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"True\n"
    with sole(tmp_path) as mine:
        assert not mine
    other.send_signal(signal.SIGKILL)
    other.communicate()
    with sole(tmp_path) as mine:
        assert mine
