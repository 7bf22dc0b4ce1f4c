"""`python -m scheduler.worker`: a worker process, its heartbeat, and its Celery queues."""

import argparse
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from scheduler.celery_app import ALL_QUEUES, make_app
from scheduler.hands import Hands
from scheduler.logs import start_logs
from scheduler.outages import AWAY, open_patiently
from scheduler.pools import Pools
from scheduler.processes import LOST_CLUSTER
from scheduler.settings import Settings, load_settings
from scheduler.tasks import Bench, register
from storage.engine import transaction
from storage.errors import DatabaseFull
from storage.heartbeats import beat, join, report_exit

THREADS = 10
POOLS = ("threads", "solo")  # those of Celery that do not fork, which Ray does not survive
LONGEST = 3600.0  # seconds that an attempt may take
PROBE_SECONDS = 2.0
log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve queues until told to stop."""
    options = _arguments(argv)
    settings = load_settings()
    start_logs(settings)
    engine = open_patiently(settings, options.parent)
    queues = options.queues.split(",")
    bench = Bench(options.id, engine, Hands(), Pools(settings), LONGEST, lambda why: _leave(engine, options.id, why))
    with transaction(engine) as session:
        join(session, options.id, options.parent is not None, queues, time.time())
    pulse = (bench, queues, settings.lease_seconds / 5, options.parent)
    threading.Thread(target=keep_beating, args=pulse, daemon=True).start()
    app = make_app(settings)
    if settings.embedded_broker:
        (settings.broker_folder / "control").mkdir(parents=True, exist_ok=True)
    register(app, bench)
    _wait_for_ray(settings)
    app.worker_main(_celery_arguments(options))
    try:
        with transaction(engine) as session:
            report_exit(session, options.id, unplanned=False)
    except AWAY:
        log.warning("the end of %s could not be told; its lease will tell it", options.id)
    return 0


def keep_beating(bench: Bench, queues: Sequence[str], seconds: float, parent: int | None) -> None:
    """Tell the database that this process lives and what it holds; end it when its supervisor is gone."""
    while True:
        try:
            with transaction(bench.engine) as session:
                if not beat(session, bench.worker_id, bench.hands.named()):
                    join(session, bench.worker_id, parent is not None, queues, time.time())
        except (SQLAlchemyError, DatabaseFull):
            log.exception("no heartbeat")
        for _ in range(4):
            time.sleep(seconds / 4)
            if parent is not None and os.getppid() != parent:
                os._exit(0)


def _leave(engine: Engine, worker_id: str, why: str) -> None:
    """End the process at once: a driver that has lost its cluster cannot join another."""
    log.error("leaving: %s", why)
    try:
        with transaction(engine) as session:
            report_exit(session, worker_id, unplanned=False)
    finally:
        os._exit(LOST_CLUSTER)


def _wait_for_ray(settings: Settings) -> None:
    """Take no chunk while the cluster is away: each would only be given back."""
    host, _, port = (settings.ray_address or "").rpartition(":")
    while host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), PROBE_SECONDS).close()
        except OSError as exc:
            log.warning("waiting for Ray at %s: %s", settings.ray_address, exc)
            time.sleep(PROBE_SECONDS)
        else:
            return


def _celery_arguments(options: argparse.Namespace) -> list[str]:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    hands = [f"--pool={options.pool}", f"--concurrency={options.threads}"]
    return ["--quiet", "worker", *hands, f"--queues={options.queues}", *quiet]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scheduler.worker", description="Work on chunks from queues.")
    parser.add_argument("--queues", default=",".join(ALL_QUEUES), help="comma-separated, of " + ", ".join(ALL_QUEUES))
    parser.add_argument("--pool", choices=POOLS, default=POOLS[0])
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--id", default=f"worker-{uuid4().hex[:12]}", help="new for each start")
    parser.add_argument("--parent", type=int, help="the process to end with")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
