"""Processes of this host: started, named in a pid file, found again, and ended by pid and start time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PID_FILE = "processes.json"
LOCK_FILE = "supervisor.lock"
STDERR = 2
LOST_CLUSTER = 75  # the exit status of a worker that asks for a new process; nobody is to blame


@dataclass(frozen=True, slots=True)
class Known:
    """A process that cannot be mistaken for a later one with its pid: role, pid, start time, our own name for it."""

    role: str
    pid: int
    started: str
    name: str


def start(
    module: str, arguments: Sequence[str], log: Path | None, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Run a module of ours in a session of its own, so that Ctrl-C reaches its supervisor alone.

    Without a log it writes to our own standard error.
    """
    with (log or Path(os.devnull)).open("ab") as file:
        output = file if log else STDERR
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
        )


def started_at(pid: int) -> str | None:
    """When a process started, in words that are equal only for the same process; None where there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    state, _, started = listed.stdout.strip().partition(" ")
    return None if state.startswith("Z") else started.strip() or None


def end(known: Sequence[Known], patience: float) -> None:
    """End processes, gently first, by force after so many seconds; those that are others by now are left alone."""
    for process in known:
        _signal(process, signal.SIGTERM)
    ends = time.monotonic() + patience
    with suppress(KeyboardInterrupt):  # told to stop once more: patience is over
        while any(map(_alive, known)) and time.monotonic() < ends:
            time.sleep(0.05)
    for process in known:
        _signal(process, signal.SIGKILL)
    while any(map(_alive, known)):
        time.sleep(0.02)


def write_known(folder: Path, known: Sequence[Known]) -> None:
    """Name the processes in the folder's pid file."""
    fresh = folder / f"{PID_FILE}.new"
    fresh.write_text(json.dumps([asdict(process) for process in known]))
    os.replace(fresh, folder / PID_FILE)


def read_known(folder: Path) -> list[Known]:
    """The processes that the pid file names, alive or not."""
    try:
        return [Known(**entry) for entry in json.loads((folder / PID_FILE).read_text())]
    except (OSError, ValueError, TypeError):
        return []


def read_node(path: Path) -> str | None:
    """Where a Ray node of this host says that it is, None where none says so or it has ended since."""
    try:
        node = json.loads(path.read_text())
        return str(node["address"]) if started_at(int(node["pid"])) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def sole(folder: Path) -> Iterator[bool]:
    """Whether this process is the folder's supervisor while the context lasts; the kernel ends that when we end."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _alive(process: Known) -> bool:
    return started_at(process.pid) == process.started


def _signal(process: Known, number: signal.Signals) -> None:
    if _alive(process):
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
