"""The moves of chunks: each names the state that it leaves, and zero rows means that someone else was first.

Moves of the dispatcher carry the epoch of its leadership and do nothing when it leads no more.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, insert, update
from sqlalchemy.orm import Session

from storage.chunks import Chunk, read_chunk
from storage.errors import LostFence
from storage.failures import NewFailure, record_failures
from storage.leader import leads
from storage.rows import changed
from storage.states import CampaignState, ChunkState, leaving
from storage.tables import CampaignTable, ChunkTable

LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a chunk's inputs; nothing vanishes."""

    input: int
    survived: int = 0
    rejected: int = 0
    duplicate: int = 0
    invalid: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        ends = self.survived + self.rejected + self.duplicate + self.invalid + self.failed
        if ends != self.input:
            raise ValueError(f"{self.input} inputs, but {ends} ends: {self}")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the time of an attempt went, in seconds, and what it took of the actors.

    Idle is how long actors had waited for its batches, items how many things they computed in them.
    """

    load: float
    compute: float
    record: float
    device: float = 0.0
    idle: float = 0.0
    batches: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an attempt: its counts and the digest of all its predictions, 16 hex digits."""

    chunk_id: int
    attempt: int
    counts: Counts
    digest: str
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Expiry:
    """Why an attempt is over; crashed only for an unplanned exit with this chunk alone in hand."""

    reason: str
    crashed: bool = False
    alone: bool = False


def queue_chunk(session: Session, epoch: int, chunk_id: int, resend_at: float, now: float) -> bool:
    """Waiting to queued, to be sent again if nobody has claimed it by resend_at."""
    values = {"state": ChunkState.QUEUED, "resend_at": resend_at, "queued_at": now}
    return _move(session, chunk_id, ChunkState.WAITING, values, leads(epoch), _campaign_runs())


def resend_chunk(session: Session, epoch: int, chunk_id: int, resend_at: float) -> bool:
    """Queued, and sent once more."""
    values = {"state": ChunkState.QUEUED, "resend_at": resend_at}
    return _move(session, chunk_id, ChunkState.QUEUED, values, leads(epoch))


def unqueue_chunk(session: Session, epoch: int, chunk_id: int) -> bool:
    """Queued back to waiting, as when its campaign is paused."""
    values = {"state": ChunkState.WAITING, "resend_at": None}
    return _move(session, chunk_id, ChunkState.QUEUED, values, leads(epoch))


def claim_chunk(session: Session, chunk_id: int, worker_id: str, now: float) -> Chunk | None:
    """Queued to running, by this worker, as a new attempt; None where someone else has it or the campaign stands."""
    values = {
        "state": ChunkState.RUNNING,
        "attempt": ChunkTable.attempt + 1,
        "worker_id": worker_id,
        "started_at": now,
        "resend_at": None,
    }
    if not _move(session, chunk_id, ChunkState.QUEUED, values, _campaign_runs()):
        return None
    return read_chunk(session, chunk_id)


def finish_chunk(session: Session, finished: Finished, now: float) -> None:
    """Running to done: the first statement of the transaction that records; raises LostFence, which rolls it back."""
    values = {
        **asdict(finished.counts),
        "state": ChunkState.DONE,
        "digest": finished.digest,
        "done_at": now,
        "load_seconds": finished.ledger.load,
        "compute_seconds": finished.ledger.compute,
        "record_seconds": finished.ledger.record,
        "device_seconds": finished.ledger.device,
        "idle_seconds": finished.ledger.idle,
        "batches": finished.ledger.batches,
        "batch_items": finished.ledger.items,
        "reason": None,
    }
    fence = ChunkTable.attempt == finished.attempt
    if not _move(session, finished.chunk_id, ChunkState.RUNNING, values, fence):
        raise LostFence(finished.chunk_id, finished.attempt)


def note_record(session: Session, chunk_id: int, seconds: float) -> None:
    """Keep how long the rows of an attempt took to write, once they are written: within its own transaction."""
    session.execute(update(ChunkTable).where(ChunkTable.id == chunk_id).values(record_seconds=seconds))


def release_chunk(session: Session, chunk_id: int, attempt: int, reason: str) -> bool:
    """Running back to waiting: the attempt raised, and its reason is kept."""
    values = {**_given_back(reason), "errors": ChunkTable.errors + 1}
    return _move(session, chunk_id, ChunkState.RUNNING, values, ChunkTable.attempt == attempt)


def expire_chunk(session: Session, epoch: int, chunk_id: int, attempt: int, expiry: Expiry) -> bool:
    """Running back to waiting: the attempt's lease is over. The attempt's number stays, so that it fences late work."""
    values = {
        **_given_back(expiry.reason),
        "expiries": ChunkTable.expiries + 1,
        "crashes": ChunkTable.crashes + int(expiry.crashed),
        "alone": expiry.alone,
    }
    return _move(session, chunk_id, ChunkState.RUNNING, values, ChunkTable.attempt == attempt, leads(epoch))


def split_chunk(session: Session, epoch: int, chunk_id: int, reason: str, now: float) -> bool:
    """Replace a chunk of two or more inputs by two waiting halves, which know their parent."""
    chunk = read_chunk(session, chunk_id)
    values = {"state": ChunkState.SPLIT, "reason": reason[:LONGEST_REASON], "done_at": now}
    if chunk.size < 2 or not _end(session, chunk, values, leads(epoch)):
        return False
    session.execute(insert(ChunkTable), _halves(chunk))
    return True


def fail_chunk(session: Session, epoch: int, chunk_id: int, reason: str, now: float, formulas: Sequence[str]) -> bool:
    """Give a chunk of these formulas up: each counts as failed, and has a failure row that says why."""
    chunk = read_chunk(session, chunk_id)
    values = {
        "state": ChunkState.FAILED,
        "reason": reason[:LONGEST_REASON],
        "done_at": now,
        "input": chunk.size,
        "failed": chunk.size,
    }
    if not _end(session, chunk, values, leads(epoch)):
        return False
    record_failures(session, chunk.campaign_id, _failures(chunk, formulas, reason[:LONGEST_REASON]))
    return True


def cancel_chunks(session: Session, campaign_id: int) -> int:
    """Cancel all chunks of a campaign that have not ended, and say how many there were."""
    statement = update(ChunkTable).where(
        ChunkTable.campaign_id == campaign_id,
        ChunkTable.state.in_(leaving(ChunkState.CANCELLED)),
    )
    return changed(session, statement.values(state=ChunkState.CANCELLED, worker_id=None, resend_at=None))


def _move(
    session: Session, chunk_id: int, leaves: ChunkState, values: dict[str, Any], *fences: ColumnElement[bool]
) -> bool:
    assert leaves in leaving(values["state"]), f"{leaves} does not lead to {values['state']}"
    statement = update(ChunkTable).where(ChunkTable.id == chunk_id, ChunkTable.state == leaves, *fences)
    return changed(session, statement.values(values)) == 1


def _end(session: Session, chunk: Chunk, values: dict[str, Any], fence: ColumnElement[bool]) -> bool:
    """End a chunk that still stands where it was read: in the same state and attempt."""
    if chunk.state not in leaving(values["state"]):
        return False
    return _move(session, chunk.id, chunk.state, values, ChunkTable.attempt == chunk.attempt, fence)


def _campaign_runs() -> ColumnElement[bool]:
    running = CampaignTable.state == CampaignState.RUNNING
    return exists().where(CampaignTable.id == ChunkTable.campaign_id, running)


def _given_back(reason: str) -> dict[str, Any]:
    return {"state": ChunkState.WAITING, "worker_id": None, "reason": reason[:LONGEST_REASON]}


def _halves(chunk: Chunk) -> list[dict[str, Any]]:
    middle = chunk.size // 2
    start = chunk.start or 0
    ranges = ((0, middle), (middle, chunk.size))
    return [
        {
            "campaign_id": chunk.campaign_id,
            "stage": chunk.stage,
            "ordinal": chunk.ordinal,
            "parent_id": chunk.id,
            "start": None if chunk.start is None else start + first,
            "stop": None if chunk.start is None else start + last,
            "formulas": None if chunk.formulas is None else list(chunk.formulas[first:last]),
            "size": last - first,
            "state": ChunkState.WAITING,
        }
        for first, last in ranges
    ]


def _failures(chunk: Chunk, formulas: Sequence[str], reason: str) -> list[NewFailure]:
    places = [f"source {chunk.start + n}" if chunk.start is not None else "" for n in range(len(formulas))]
    return [
        NewFailure(chunk.stage, formula, place, "failed", reason, chunk.id)
        for formula, place in zip(formulas, places, strict=True)
    ]
