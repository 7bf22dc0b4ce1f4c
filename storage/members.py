"""Membership: which survivors of a stage go on to the next."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from storage.rows import batches
from storage.states import STAGE_ORDER, ChunkState, StageName
from storage.tables import CandidateTable, ChunkTable

COLUMNS = (CandidateTable.formula, CandidateTable.score)


@dataclass(frozen=True, slots=True)
class Member:
    """A candidate that goes on."""

    formula: str
    score: float | None


def top_members(
    session: Session, campaign_id: int, upstream: StageName, limit: int, after: str | None = None
) -> list[Member]:
    """The next members after a formula, best first: score descending, unknown last, then formula ascending.

    A pure function of the upstream stage once that is closed.
    """
    last = None if after is None else _member(session, campaign_id, after)
    scored: list[Member] = []
    if last is None or last.score is not None:
        where = and_(CandidateTable.score.is_not(None), _after_scored(last))
        order = (CandidateTable.score.desc(), CandidateTable.formula)
        statement = select(*COLUMNS).where(*_passed(campaign_id, upstream), where).order_by(*order)
        scored = [Member(*row) for row in session.execute(statement.limit(limit))]
        last = None
    unknown = CandidateTable.score.is_(None)
    later = CandidateTable.formula > (last.formula if last else "")
    statement = select(*COLUMNS).where(*_passed(campaign_id, upstream), unknown, later).order_by(CandidateTable.formula)
    return scored + [Member(*row) for row in session.execute(statement.limit(limit - len(scored)))]


def undrained_chunks(session: Session, campaign_id: int, upstream: StageName, limit: int) -> list[int]:
    """The first done chunks of a stage whose survivors have not gone on."""
    statement = (
        select(ChunkTable.id)
        .where(ChunkTable.campaign_id == campaign_id, ChunkTable.stage == upstream, ChunkTable.drained.is_(False))
        .where(ChunkTable.state == ChunkState.DONE)
        .order_by(ChunkTable.id)
    )
    return list(session.scalars(statement.limit(limit)))


def survivors(session: Session, chunk_ids: Sequence[int]) -> list[str]:
    """The formulas that survived these done chunks of one stage, sorted."""
    found: set[str] = set()
    for batch in batches(chunk_ids):
        columns = (ChunkTable.id, ChunkTable.campaign_id, ChunkTable.stage, ChunkTable.formulas)
        for chunk_id, campaign_id, stage, formulas in session.execute(select(*columns).where(ChunkTable.id.in_(batch))):
            found |= set(_survivors(session, chunk_id, _passed(campaign_id, StageName(stage)), formulas))
    return sorted(found)


def _survivors(
    session: Session, chunk_id: int, passed: Sequence[ColumnElement[bool]], formulas: Sequence[str] | None
) -> list[str]:
    statement = select(CandidateTable.formula).where(*passed)
    if formulas is None:
        return list(session.scalars(statement.where(CandidateTable.chunk_id == chunk_id)))
    return [
        formula
        for batch in batches(formulas)
        for formula in session.scalars(statement.where(CandidateTable.formula.in_(batch)))
    ]


def _passed(campaign_id: int, stage: StageName) -> tuple[ColumnElement[bool], ...]:
    return (
        CandidateTable.campaign_id == campaign_id,
        CandidateTable.survived >= STAGE_ORDER[stage],
        CandidateTable.surplus.is_(False),
    )


def _member(session: Session, campaign_id: int, formula: str) -> Member:
    here = (CandidateTable.campaign_id == campaign_id, CandidateTable.formula == formula)
    return Member(*session.execute(select(*COLUMNS).where(*here)).one())


def _after_scored(last: Member | None) -> ColumnElement[bool]:
    if last is None:
        return CandidateTable.score.is_not(None)
    worse = CandidateTable.score < last.score
    return and_(CandidateTable.score <= last.score, or_(worse, CandidateTable.formula > last.formula))
