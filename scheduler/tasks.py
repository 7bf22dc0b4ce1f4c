"""The task: claim a chunk, then load, compute, record."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery
from sqlalchemy import Engine

from scheduler.celery_app import TASK
from scheduler.errors import MachineFailed
from scheduler.hands import Hands
from scheduler.logs import about
from scheduler.outages import AWAY
from scheduler.pools import Models, Pools
from scheduler.spec import CampaignSpec
from scheduler.stages import csp, explain, judge, predict
from scheduler.stages.outcome import Order, Outcome, StageWork
from scheduler.stored_models import own_models
from storage.campaigns import move_campaign, read_campaign
from storage.chunks import Chunk, read_chunk
from storage.engine import reading, transaction
from storage.errors import LostFence
from storage.moves import Finished, Ledger, claim_chunk, finish_chunk, note_record, release_chunk
from storage.states import CampaignState, StageName
from workers.actors import ClusterLost
from workers.pool import ModelUnavailable, Use

WORK: dict[StageName, StageWork[Any]] = {
    StageName.PREDICT: StageWork(predict.load, predict.compute, predict.record),
    StageName.CSP: StageWork(csp.load, csp.compute, csp.record),
    StageName.JUDGE: StageWork(judge.load, judge.compute, judge.record),
    StageName.EXPLAIN: StageWork(explain.load, explain.compute, explain.record),
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a worker process works with."""

    worker_id: str
    engine: Engine
    hands: Hands
    pools: Pools
    seconds: float
    on_lost_cluster: Callable[[str], None]


def register(app: Celery, bench: Bench) -> None:
    """Give the app its one task, whose message is a chunk id."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def work(chunk_id: int) -> None:
        work_on(chunk_id, bench)


def work_on(chunk_id: int, bench: Bench) -> None:
    """Claim a chunk and bring the attempt to an end, unless someone else has it."""
    with reading(bench.engine) as session:
        alone = read_chunk(session, chunk_id).alone
    with bench.hands.room(alone):
        with transaction(bench.engine) as session:
            chunk = claim_chunk(session, chunk_id, bench.worker_id, time.time())
        if chunk is not None:
            ids = {"campaign": chunk.campaign_id, "stage": chunk.stage, "chunk": chunk.id, "attempt": chunk.attempt}
            with bench.hands.holding((chunk.id, chunk.attempt)), about(**ids):
                _attempt(chunk, bench)


def _attempt(chunk: Chunk, bench: Bench) -> None:
    try:
        _load_compute_record(chunk, bench)
    except LostFence as exc:
        log.warning("%s", exc)
    except (ClusterLost, MachineFailed) as exc:
        bench.on_lost_cluster(str(exc))
    except ModelUnavailable as exc:
        _give_back(chunk, bench, exc)
        with transaction(bench.engine) as session:
            move_campaign(session, chunk.campaign_id, CampaignState.FAILED, time.time())
    except AWAY:
        # No fault of the chunk: its lease ends, and it counts nothing.
        log.exception("the chunk could not be stored")
    except Exception as exc:
        log.exception("the chunk raised")
        _give_back(chunk, bench, exc)


def _load_compute_record(chunk: Chunk, bench: Bench) -> None:
    work = WORK[chunk.stage]
    began = time.monotonic()
    with reading(bench.engine) as session:
        campaign = read_campaign(session, chunk.campaign_id)
        order = Order(chunk, CampaignSpec.model_validate(campaign.spec), campaign.seed)
        loaded = work.load(session, order)
        own = own_models(session, campaign.id, order.spec)
    computing = time.monotonic()
    models = Models(bench.pools, order.spec, bench.seconds, own)
    outcome = work.compute(order, loaded, models)
    computed = time.monotonic()
    times = (computing - began, computed - computing)
    with transaction(bench.engine) as session:
        finish_chunk(session, _finished(chunk, outcome, _ledger(times, models.use)), time.time())
        work.record(session, order, outcome)
        note_record(session, chunk.id, time.monotonic() - computed)
    log.info("chunk done: %d inputs in %.2f s", outcome.counts.input, time.monotonic() - began)


def _ledger(times: tuple[float, float], use: Use) -> Ledger:
    return Ledger(*times, record=0.0, device=use.seconds, idle=use.idle, batches=use.batches, items=use.items)


def _finished(chunk: Chunk, outcome: Outcome, ledger: Ledger) -> Finished:
    return Finished(chunk.id, chunk.attempt, outcome.counts, outcome.digest, ledger)


def _give_back(chunk: Chunk, bench: Bench, exc: Exception) -> None:
    with transaction(bench.engine) as session:
        release_chunk(session, chunk.id, chunk.attempt, f"{type(exc).__name__}: {exc}")
