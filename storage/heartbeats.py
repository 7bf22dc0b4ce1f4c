"""Heartbeats of worker processes: a counter that rises, and the attempts in hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from storage.leader import leads
from storage.rows import batches, changed
from storage.tables import WorkerTable

PLANNED = "planned"
UNPLANNED = "unplanned"
Attempt = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker process as last heard of; in_hand holds (chunk id, attempt); exited is told by its supervisor."""

    worker_id: str
    counter: int
    in_hand: tuple[Attempt, ...]
    supervised: bool
    queues: tuple[str, ...]
    exited: str | None


def join(session: Session, worker_id: str, supervised: bool, queues: Sequence[str], now: float) -> None:
    """Make a worker known; its id is new for each start of a process."""
    values = {
        "id": worker_id,
        "started_at": now,
        "in_hand": [],
        "queues": list(queues),
        "supervised": supervised,
    }
    session.execute(insert(WorkerTable).values(values))


def beat(session: Session, worker_id: str, in_hand: Sequence[Attempt]) -> bool:
    """Raise the counter and name the attempts in hand; False where the worker was forgotten and must join anew."""
    values = {"counter": WorkerTable.counter + 1, "in_hand": [list(attempt) for attempt in in_hand]}
    return changed(session, update(WorkerTable).where(WorkerTable.id == worker_id).values(values)) == 1


def report_exit(session: Session, worker_id: str, unplanned: bool) -> bool:
    """What the supervisor saw of a worker's end."""
    statement = update(WorkerTable).where(WorkerTable.id == worker_id, WorkerTable.exited.is_(None))
    return changed(session, statement.values(exited=UNPLANNED if unplanned else PLANNED)) == 1


def read_beats(session: Session) -> list[Beat]:
    """All workers that are known, by id."""
    rows = session.execute(select(*WorkerTable.__table__.columns).order_by(WorkerTable.id))
    return [
        Beat(
            worker_id=row.id,
            counter=row.counter,
            in_hand=tuple((chunk_id, attempt) for chunk_id, attempt in row.in_hand),
            supervised=row.supervised,
            queues=tuple(row.queues),
            exited=row.exited,
        )
        for row in rows
    ]


def forget(session: Session, epoch: int, worker_ids: Sequence[str]) -> int:
    """Remove workers that are gone."""
    statements = (delete(WorkerTable).where(WorkerTable.id.in_(batch), leads(epoch)) for batch in batches(worker_ids))
    return sum(changed(session, statement) for statement in statements)
