"""What the dispatcher sees: one small picture of all the work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from storage.heartbeats import Beat, read_beats
from storage.leader import Leader, read_leader
from storage.stages import Stage, all_stages
from storage.states import OPEN_STATES, PRIORITY, CampaignState, ChunkState, StageName
from storage.tables import CampaignTable, ChunkTable

IN_FLIGHT = (ChunkState.QUEUED, ChunkState.RUNNING)


@dataclass(frozen=True, slots=True)
class ChunkView:
    """What decides about a chunk; resend_at in unix seconds."""

    id: int
    campaign_id: int
    stage: StageName
    ordinal: int
    size: int
    state: ChunkState
    attempt: int
    errors: int
    crashes: int
    alone: bool
    worker_id: str | None
    resend_at: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage with its chunks: how many stand in each state, those in flight, the first that wait.

    Undrained are done chunks whose survivors have not been cut into the next stage's chunks.
    """

    stage: Stage
    counts: dict[ChunkState, int]
    undrained: int
    active: tuple[ChunkView, ...]
    waiting: tuple[ChunkView, ...]


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign with its stages, in the order of the funnel."""

    id: int
    state: CampaignState
    seed: int
    spec: dict[str, Any]
    stages: tuple[StageView, ...]
    priority: int = PRIORITY


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Campaigns that run, pause or still hold open chunks; all known workers; the leader."""

    campaigns: tuple[CampaignView, ...]
    beats: tuple[Beat, ...]
    leader: Leader


COLUMNS = tuple(getattr(ChunkTable, name) for name in ChunkView.__slots__)


def snapshot(session: Session, heads: int = 64) -> Snapshot:
    """The picture, with so many of the first waiting chunks of each stage."""
    campaigns = tuple(_campaign_views(session, heads))
    return Snapshot(campaigns, tuple(read_beats(session)), read_leader(session))


def _campaign_views(session: Session, heads: int) -> list[CampaignView]:
    open_chunks = select(ChunkTable.campaign_id).where(ChunkTable.state.in_(OPEN_STATES))
    alive = CampaignTable.state.in_((CampaignState.RUNNING, CampaignState.PAUSED))
    names = ("id", "state", "seed", "spec", "priority")
    columns = [getattr(CampaignTable, name) for name in names]
    statement = select(*columns).where(or_(alive, CampaignTable.id.in_(open_chunks))).order_by(CampaignTable.id)
    rows = session.execute(statement).all()
    stages = all_stages(session, [row.id for row in rows])
    return [
        CampaignView(
            id=row.id,
            state=CampaignState(row.state),
            seed=row.seed,
            spec=row.spec,
            stages=_stage_views(session, row.id, stages, heads),
            priority=row.priority,
        )
        for row in rows
    ]


def _stage_views(session: Session, campaign_id: int, stages: Sequence[Stage], heads: int) -> tuple[StageView, ...]:
    return tuple(_stage_view(session, stage, heads) for stage in stages if stage.campaign_id == campaign_id)


def _stage_view(session: Session, stage: Stage, heads: int) -> StageView:
    here = (ChunkTable.campaign_id == stage.campaign_id, ChunkTable.stage == stage.name)
    counted = select(ChunkTable.state, func.count()).where(*here).group_by(ChunkTable.state)
    undrained = select(func.count()).where(*here, ChunkTable.drained.is_(False), ChunkTable.state == ChunkState.DONE)
    ordered = select(*COLUMNS).where(*here).order_by(ChunkTable.ordinal, ChunkTable.id)
    active = ordered.where(ChunkTable.state.in_(IN_FLIGHT))
    waiting = ordered.where(ChunkTable.state == ChunkState.WAITING).limit(heads)
    return StageView(
        stage=stage,
        counts={ChunkState(state): count for state, count in session.execute(counted)},
        undrained=session.scalar(undrained) or 0,
        active=tuple(_view(row) for row in session.execute(active).mappings()),
        waiting=tuple(_view(row) for row in session.execute(waiting).mappings()),
    )


def _view(row: Any) -> ChunkView:
    return ChunkView(**{**row, "stage": StageName(row["stage"]), "state": ChunkState(row["state"])})
