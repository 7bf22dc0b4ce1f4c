"""Histories of a campaign, for its report: when chunks ended, how scores spread, why inputs failed, which models."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.states import ChunkState, StageName
from storage.tables import CampaignModelTable, CandidateTable, ChunkTable, FailureTable, ModelTable

PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Ended:
    """A chunk that was done: its stage, the moment in unix seconds, its inputs."""

    stage: StageName
    at: float
    inputs: int


@dataclass(frozen=True, slots=True)
class Reason:
    """How many inputs of a stage failed for one reason."""

    stage: StageName
    kind: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A model in its role, by the sha256 of its weights."""

    role: str
    name: str
    model_id: str


def ended_chunks(session: Session, campaign_id: int) -> list[Ended]:
    """The chunks of a campaign that are done, in the order in which they ended."""
    columns = (ChunkTable.stage, ChunkTable.done_at, ChunkTable.input)
    done = (ChunkTable.campaign_id == campaign_id, ChunkTable.state == ChunkState.DONE)
    rows = session.execute(select(*columns).where(*done).order_by(ChunkTable.done_at, ChunkTable.id))
    return [Ended(StageName(stage), at, inputs) for stage, at, inputs in rows if at is not None]


def read_scores(session: Session, campaign_id: int) -> Iterator[float]:
    """The scores of all candidates, in no order; memory does not grow with them."""
    mine = (CandidateTable.campaign_id == campaign_id, CandidateTable.surplus.is_(False))
    statement = select(CandidateTable.score).where(*mine, CandidateTable.score.is_not(None))
    return iter(session.scalars(statement.execution_options(yield_per=PAGE)))


def score_range(session: Session, campaign_id: int) -> tuple[float, float] | None:
    """The least and the largest score, None where there is none."""
    mine = (CandidateTable.campaign_id == campaign_id, CandidateTable.surplus.is_(False))
    least, largest = session.execute(
        select(func.min(CandidateTable.score), func.max(CandidateTable.score)).where(*mine)
    ).one()
    return None if least is None or largest is None else (least, largest)


def count_reasons(session: Session, campaign_id: int, limit: int) -> list[Reason]:
    """The most frequent reasons of failures, each with its count."""
    columns = (FailureTable.stage, FailureTable.kind, FailureTable.reason)
    count = func.count()
    statement = select(*columns, count).where(FailureTable.campaign_id == campaign_id).group_by(*columns)
    rows = session.execute(statement.order_by(count.desc(), *columns).limit(limit))
    return [Reason(StageName(stage), kind, reason, number) for stage, kind, reason, number in rows]


def used_models(session: Session, campaign_id: int) -> list[UsedModel]:
    """The models of a campaign, by role."""
    statement = (
        select(CampaignModelTable.role, ModelTable.name, ModelTable.id)
        .join(ModelTable, ModelTable.id == CampaignModelTable.model_id)
        .where(CampaignModelTable.campaign_id == campaign_id)
        .order_by(CampaignModelTable.role)
    )
    return [UsedModel(*row) for row in session.execute(statement)]
