"""`python -m scheduler.dispatcher`: look, decide, move, send; one of several leads."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.celery_app import QUEUES, TASK, make_app
from scheduler.growth import Growing, grow
from scheduler.logs import about, start_logs
from scheduler.metrics import metrics_served
from scheduler.outages import AWAY, open_patiently
from scheduler.settings import Settings, load_settings
from scheduler.sources import formulas_of
from scheduler.spec import CampaignSpec
from scheduler.tick import (
    Cancel,
    Close,
    Expire,
    Fail,
    Finish,
    Forget,
    Grow,
    Halve,
    Limits,
    Move,
    Queue,
    Send,
    Unqueue,
    Watch,
    note_queued,
    note_sent,
    observe,
    tick,
)  # fmt: skip
from storage.campaigns import move_campaign, read_campaign
from storage.chunks import Chunk, read_chunk
from storage.engine import reading, transaction
from storage.heartbeats import forget
from storage.leader import Leader, read_leader, renew_leadership, resign, take_leadership
from storage.moves import (
    Expiry,
    cancel_chunks,
    expire_chunk,
    fail_chunk,
    queue_chunk,
    resend_chunk,
    split_chunk,
    unqueue_chunk,
)  # fmt: skip
from storage.snapshots import Snapshot, snapshot
from storage.stages import close_stage
from storage.states import CampaignState, StageName
from workers.errors import SluiceError, UserError

PER_WORKER: dict[StageName, int] = {
    StageName.PREDICT: 4,
    StageName.CSP: 3,
    StageName.JUDGE: 2,
    StageName.EXPLAIN: 1,
}
DIED = "its process died repeatedly"
log = logging.getLogger(__name__)


class Dispatcher:
    """One dispatcher process: its watch, and the epoch in which it leads, if it does."""

    def __init__(self, name: str, settings: Settings, engine: Engine, app: Celery) -> None:
        self._name = name
        self._settings = settings
        self._engine = engine
        self._app = app
        self._watch = Watch()
        self._epoch: int | None = None
        self._rival: tuple[Leader, float] | None = None
        self._renewed = 0.0

    def step(self, now: float) -> bool:
        """One round at a monotonic moment; whether there was anything to do."""
        if not self._leading(now):
            return False
        with reading(self._engine) as session:
            picture = snapshot(session)
        self._watch = observe(now, self._watch, picture)
        moves = tick(now, picture, self._watch, limits_for(picture, self._settings.lease_seconds))
        if not moves:
            return False
        with transaction(self._engine) as session:
            due = [chunk for move in moves for chunk in self._apply(session, move, picture)]
        sent = [chunk for chunk in due if self._send(chunk, picture)]
        self._watch = note_queued(note_sent(now, self._watch, sent), picture, moves)
        return True

    def lose_sight(self) -> None:
        """Begin to watch anew: who was not seen was not silent, and keeps its lease."""
        self._watch = replace(self._watch, beats={}, attempts={})
        self._rival = None

    def stop(self) -> None:
        """Leave the lead to the next one."""
        if self._epoch is not None:
            with transaction(self._engine) as session:
                resign(session, self._epoch)

    def _leading(self, now: float) -> bool:
        if self._epoch is None:
            self._epoch = self._stand(now)
        elif now - self._renewed > self._settings.lease_seconds / 4:
            with transaction(self._engine) as session:
                self._epoch = self._epoch if renew_leadership(session, self._epoch) else None
            self._renewed = now
        return self._epoch is not None

    def _stand(self, now: float) -> int | None:
        """Take the lead where nobody has it, or where its holder has been silent for a lease."""
        with reading(self._engine) as session:
            leader = read_leader(session)
        if self._rival is None or self._rival[0] != leader:
            self._rival = (leader, now)
        if leader.holder and now - self._rival[1] <= self._settings.lease_seconds:
            return None
        self._renewed = now
        with transaction(self._engine) as session:
            return take_leadership(session, self._name, leader)

    def _send(self, chunk: int, picture: Snapshot) -> bool:
        queue = QUEUES[stage_of(chunk, picture)]
        try:
            self._app.send_task(TASK, args=[chunk], queue=queue)
        except (OperationalError, OSError) as exc:
            log.warning("broker: %s", exc)  # it stays queued, and the next round sends it
            return False
        return True

    def _apply(self, session: Session, move: Move, picture: Snapshot) -> list[int]:
        """Make one move in the lead's epoch; the chunks for which to send a message."""
        epoch, now = self._epoch or 0, time.time()
        resend_at = now + Limits().resend
        match move:
            case Queue(chunk):
                return [chunk] if queue_chunk(session, epoch, chunk, resend_at, now) else []
            case Send(chunk):
                return [chunk] if resend_chunk(session, epoch, chunk, resend_at) else []
            case Unqueue(chunk):
                unqueue_chunk(session, epoch, chunk)
            case Expire(chunk, attempt, crashed, alone):
                reason = "its worker died" if alone else "its lease ended"
                expire_chunk(session, epoch, chunk, attempt, Expiry(reason, crashed, alone))
                with about(chunk=chunk, attempt=attempt):
                    log.info("chunk taken back: %s", reason)
            case Halve(chunk):
                split_chunk(session, epoch, chunk, read_chunk(session, chunk).reason or DIED, now)
            case Fail(chunk):
                lost = read_chunk(session, chunk)
                fail_chunk(session, epoch, chunk, lost.reason or DIED, now, formulas_in(session, lost))
            case Forget(workers):
                forget(session, epoch, workers)
            case _:
                self._apply_to_campaign(session, move, picture)
        return []

    def _apply_to_campaign(self, session: Session, move: Move, picture: Snapshot) -> None:
        epoch = self._epoch or 0
        match move:
            case Grow(campaign_id, name, count):
                campaign = next(view for view in picture.campaigns if view.id == campaign_id)
                stage = next(view.stage for view in campaign.stages if view.stage.name == name)
                grow(session, Growing(epoch, campaign, stage, count))
            case Close(campaign_id, name):
                close_stage(session, epoch, campaign_id, name)
            case Cancel(campaign_id) if renew_leadership(session, epoch):
                cancel_chunks(session, campaign_id)
            case Finish(campaign_id) if renew_leadership(session, epoch):
                move_campaign(session, campaign_id, CampaignState.DONE, time.time())


def formulas_in(session: Session, chunk: Chunk) -> list[str]:
    """The formulas of a chunk of any stage."""
    if chunk.formulas is not None:
        return list(chunk.formulas)
    spec = CampaignSpec.model_validate(read_campaign(session, chunk.campaign_id).spec)
    return formulas_of(session, chunk, spec.source)


def limits_for(picture: Snapshot, lease: float) -> Mapping[StageName, Limits]:
    """What each stage may have under way: so many chunks for each living worker that serves its queue."""
    living = [beat.queues for beat in picture.beats if beat.exited is None]
    serving = {stage: max(1, sum(QUEUES[stage] in queues for queues in living)) for stage in StageName}
    return {
        stage: replace(Limits(), lease=lease, in_flight=count * serving[stage], ahead=count * serving[stage] * 2)
        for stage, count in PER_WORKER.items()
    }


def stage_of(chunk: int, picture: Snapshot) -> StageName:
    """The stage of a chunk in the picture."""
    views = (view for campaign in picture.campaigns for view in campaign.stages)
    return next(view.stage.name for view in views for row in (*view.active, *view.waiting) if row.id == chunk)


def run(dispatcher: Dispatcher, seconds: float, stopping: threading.Event, parent: int | None) -> None:
    """Rounds until told to stop; the next comes at once where there was something to do."""
    while not stopping.is_set() and (parent is None or os.getppid() == parent):
        try:
            busy = dispatcher.step(time.monotonic())
        except AWAY:
            log.exception("no round")  # what was not stored was not sent; the next round looks anew
            dispatcher.lose_sight()
            busy = False
        stopping.wait(seconds / 4 if busy else seconds)
    try:
        dispatcher.stop()
    except AWAY:
        log.warning("the lead could not be left; its lease will tell")


def main(argv: Sequence[str] | None = None, settings: Settings | None = None) -> int:
    """Dispatch until told to stop, with these settings or those of the environment."""
    options = _arguments(argv)
    settings = settings or load_settings()
    start_logs(settings)
    if settings.embedded_broker:
        (settings.broker_folder / "control").mkdir(parents=True, exist_ok=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    try:
        engine = open_patiently(settings, options.parent)
        dispatcher = Dispatcher(options.id, settings, engine, make_app(settings))
        with metrics_served(engine, options.metrics):
            run(dispatcher, settings.tick_seconds, stopping, options.parent)
    except SluiceError as exc:
        print(exc, file=sys.stderr)  # the last line of the log is what its supervisor tells the user
        return 2 if isinstance(exc, UserError) else 1
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scheduler.dispatcher", description="Decide what happens next.")
    parser.add_argument("--id", default=f"dispatcher-{uuid4().hex[:12]}", help="new for each start")
    parser.add_argument("--parent", type=int, help="the process to end with")
    parser.add_argument("--metrics", metavar="HOST:PORT", help="where to serve metrics")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
