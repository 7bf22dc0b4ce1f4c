"""The machine of one host: Ray, a worker and a dispatcher, started, watched and ended by pid."""

import logging
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine

from scheduler.errors import MachineFailed
from scheduler.outages import AWAY
from scheduler.processes import LOST_CLUSTER, Known, end, read_known, sole, start, started_at, write_known
from scheduler.settings import Settings, child_environment
from storage.engine import transaction
from storage.heartbeats import report_exit
from storage.leader import read_leader, resign

RAY, WORKER, DISPATCHER = "ray", "worker", "dispatcher"
MODULES = {RAY: "scheduler.ray_node", WORKER: "scheduler.worker", DISPATCHER: "scheduler.dispatcher"}
PATIENCE = 2.0  # seconds for a child to end by itself; what it holds is leased, so that force loses nothing
RESTARTS, WITHIN = 6, 60.0  # so many deaths in so many seconds end the machine
FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 0, LOST_CLUSTER}
OOM_COUNTER = Path("/proc/vmstat")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Crew:
    """The parts that one supervisor runs: the folder of their pids, how each is started, seconds for chunks to end.

    What parts say goes to their logs in the folder, or aloud to our own standard error.
    """

    folder: Path
    roles: tuple[str, ...] = (RAY, WORKER, DISPATCHER)
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patience: float = PATIENCE
    aloud: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A running child process."""

    known: Known
    process: "subprocess.Popen[bytes]"
    oom_kills: int


class Machine:
    """The children of this supervisor."""

    def __init__(self, settings: Settings, engine: Engine, crew: Crew) -> None:
        self._settings = settings
        self._engine = engine
        self._crew = crew
        self._children: dict[str, Child] = {}
        self._deaths: list[float] = []

    def start(self) -> None:
        """End what a killed supervisor left running, then start every part."""
        self._end_leftovers()
        if self._settings.embedded_broker and DISPATCHER in self._crew.roles:
            shutil.rmtree(self._settings.broker_folder, ignore_errors=True)  # messages are wake-ups, the database knows
            (self._settings.broker_folder / "control").mkdir(parents=True)
        for role in self._roles():
            self._spawn(role)

    def check(self, now: float) -> None:
        """Replace parts that died, seen at a monotonic moment; raises MachineFailed when that does not help."""
        for role in self._roles():
            child = self._children[role]  # looked up each time: the end of one part may have replaced another
            status = child.process.poll()
            if status is not None:
                self._count_death(now, role, status)
                self._bury(child, unplanned=_unplanned(status, child.oom_kills))
                if role == RAY:
                    self._end(WORKER)  # its connection leads to the Ray that died
                    self._spawn(RAY)
                self._spawn(WORKER if role == RAY else role)

    def stop(self) -> None:
        """End every part, the worker with what it has in hand before the Ray that computes it."""
        for roles in ((DISPATCHER, WORKER), (RAY,)):
            children = [child for child in self._children.values() if child.known.role in roles]
            end([child.known for child in children], self._crew.patience)
            for child in children:
                self._bury(child, unplanned=False)
        write_known(self._crew.folder, [])

    def _roles(self) -> tuple[str, ...]:
        return tuple(role for role in self._crew.roles if role != RAY or not self._settings.ray_address)

    def _spawn(self, role: str) -> None:
        folder, name = self._crew.folder, f"{role}-{uuid4().hex[:12]}"
        arguments = ["--parent", str(os.getpid()), *self._crew.arguments.get(role, ())]
        if role == RAY:
            # Sockets lie in there, and their paths must stay below 108 characters.
            name = tempfile.mkdtemp(prefix="sluice-", dir="/tmp" if os.path.isdir("/tmp") else None)
            self._settings.node_file.unlink(missing_ok=True)
            _write_token(self._settings.token_file)
            arguments += ["--node-file", str(self._settings.node_file), "--temporary", name]
        else:
            arguments += ["--id", name]
        process = start(MODULES[role], arguments, self._log(role), child_environment(self._settings))
        known = Known(role, process.pid, started_at(process.pid) or "", name)
        self._children[role] = Child(known, process, _oom_kills())
        write_known(folder, [child.known for child in self._children.values()])

    def _end(self, role: str) -> None:
        child = self._children[role]
        end([child.known], PATIENCE)
        self._bury(child, unplanned=False)

    def _bury(self, child: Child, unplanned: bool) -> None:
        del self._children[child.known.role]
        child.process.wait()
        _settle(self._engine, child.known, unplanned)

    def _end_leftovers(self) -> None:
        left = read_known(self._crew.folder)
        end(left, PATIENCE)
        for known in left:
            _settle(self._engine, known, unplanned=False)

    def _count_death(self, now: float, role: str, status: int) -> None:
        self._deaths = [at for at in self._deaths if now - at < WITHIN] + [now]
        if len(self._deaths) >= RESTARTS:
            path = self._log(role)
            words = f"{_last_line(path)} (log: {path})" if path else "its words are above"
            raise MachineFailed(f"the {role} process keeps ending (status {status}): {words}")

    def _log(self, role: str) -> Path | None:
        return None if self._crew.aloud else self._crew.folder / f"{role}.log"


@contextmanager
def machine(settings: Settings, engine: Engine, crew: Crew | None = None) -> Iterator[Machine | None]:
    """The machine of this host, or this part of it, while the context lasts; None where another process runs it."""
    crew = crew or Crew(settings.folder)
    with sole(crew.folder) as mine:
        if not mine:
            yield None
            return
        running = Machine(settings, engine, crew)
        with _terminable():
            try:
                running.start()
                yield running
            finally:
                running.stop()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does, children first; only the main thread can arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _settle(engine: Engine, known: Known, unplanned: bool) -> None:
    """Tell the database of an end, so that nobody waits for the dead."""
    if known.role == RAY:
        shutil.rmtree(known.name, ignore_errors=True)
        return
    try:
        with transaction(engine) as session:
            if known.role == WORKER:
                report_exit(session, known.name, unplanned)
            leader = read_leader(session)
            if leader.holder == known.name:
                resign(session, leader.epoch)
    except AWAY:
        log.warning("the end of %s could not be told; its lease will tell it", known.name)


def _unplanned(status: int, oom_kills: int) -> bool:
    """Whether a process ended by its own doing; SIGKILL comes from outside unless memory had run out."""
    out_of_memory = status == -signal.SIGKILL and _oom_kills() > oom_kills
    return out_of_memory or status not in FROM_OUTSIDE


def _oom_kills() -> int:
    try:
        lines = OOM_COUNTER.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _write_token(path: Path) -> None:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
