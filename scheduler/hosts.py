"""A host that serves whatever campaigns there are, until it is told to stop."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from sqlalchemy import Engine

from scheduler.errors import AlreadyUp, NoRay
from scheduler.processes import read_node
from scheduler.settings import Settings
from scheduler.supervisor import DISPATCHER, RAY, WORKER, Crew, Machine, machine
from storage.engine import describe

LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Service:
    """What a host serves: the worker's queues, pool and threads, seconds for chunks to end, where metrics are."""

    queues: Sequence[str]
    pool: str
    threads: int
    grace: float
    metrics: str | None = None

    @property
    def worker(self) -> tuple[str, ...]:
        """The worker's arguments."""
        return ("--queues", ",".join(self.queues), "--pool", self.pool, "--threads", str(self.threads))

    @property
    def dispatcher(self) -> tuple[str, ...]:
        """The dispatcher's arguments."""
        return ("--metrics", self.metrics) if self.metrics else ()


def serve_all(settings: Settings, engine: Engine, service: Service) -> None:
    """Ray, a worker and a dispatcher on this host, until told to stop; raises AlreadyUp, MachineFailed."""
    arguments = {WORKER: service.worker, DISPATCHER: service.dispatcher}
    crew = Crew(settings.folder, (RAY, WORKER, DISPATCHER), arguments, service.grace)
    with machine(settings, engine, crew) as running:
        if running is None:
            raise AlreadyUp(describe(engine), settings.folder)
        _watch(running)


def serve_worker(settings: Settings, engine: Engine, service: Service) -> None:
    """A worker beside any others of this host, until told to stop; raises NoRay, MachineFailed."""
    if not settings.ray_address and not read_node(settings.node_file):
        raise NoRay(describe(engine))
    for number in count(1):
        folder = settings.folder / f"{WORKER}-{number}"
        crew = Crew(folder, (WORKER,), {WORKER: service.worker}, service.grace, aloud=True)
        with machine(settings, engine, crew) as running:
            if running is not None:
                _watch(running)
                return


def _watch(running: Machine) -> None:
    """Replace what dies, until SIGTERM or Ctrl-C."""
    try:
        while True:
            running.check(time.monotonic())
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return
