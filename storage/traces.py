"""Traces: which chunks made what is stored of a candidate."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.states import ChunkState, StageName
from storage.tables import CandidateTable, ChunkTable

FETCH = 100  # chunks


@dataclass(frozen=True, slots=True)
class MadeBy:
    """A chunk that is done: the attempt that was recorded, its worker, and the digest of all its predictions."""

    chunk_id: int
    stage: StageName
    attempt: int
    worker_id: str | None
    done_at: float | None
    digest: str | None


def chunks_behind(session: Session, candidate_id: int) -> dict[StageName, MadeBy]:
    """The chunk of each stage that worked on a candidate."""
    columns = (CandidateTable.campaign_id, CandidateTable.chunk_id, CandidateTable.formula)
    campaign_id, first, formula = session.execute(select(*columns).where(CandidateTable.id == candidate_id)).one()
    later = (stage for stage in StageName if stage != StageName.PREDICT)
    keys = (first, *(_later(session, campaign_id, stage, formula) for stage in later))
    made = (_made_by(session, key) for key in keys if key is not None)
    return {row.stage: row for row in made if row is not None}


def _later(session: Session, campaign_id: int, stage: StageName, formula: str) -> int | None:
    """The chunk whose list holds the formula; later stages have lists, and the best are in the first of them."""
    here = (ChunkTable.campaign_id == campaign_id, ChunkTable.stage == stage, ChunkTable.state == ChunkState.DONE)
    statement = select(ChunkTable.id, ChunkTable.formulas).where(*here).order_by(ChunkTable.ordinal)
    chunks = session.execute(statement.execution_options(yield_per=FETCH))
    return next((key for key, formulas in chunks if formula in (formulas or ())), None)


def _made_by(session: Session, chunk_id: int) -> MadeBy | None:
    columns = (ChunkTable.id, ChunkTable.stage, ChunkTable.attempt, ChunkTable.worker_id)
    times = (ChunkTable.done_at, ChunkTable.digest)
    row = session.execute(select(*columns, *times).where(ChunkTable.id == chunk_id)).one_or_none()
    return None if row is None else MadeBy(row[0], StageName(row[1]), *row[2:])
