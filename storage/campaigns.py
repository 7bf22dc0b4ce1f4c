"""Campaigns: making, reading and moving them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, insert, select, update
from sqlalchemy.orm import Session

from storage.errors import NotFound
from storage.rows import changed
from storage.states import CAMPAIGN_MOVES, PRIORITY, STAGE_ORDER, CampaignState, StageName
from storage.tables import CampaignModelTable, CampaignTable, StageTable

FINAL_FOR_GOOD = tuple(state for state, moves in CAMPAIGN_MOVES.items() if not moves)
FINAL = (CampaignState.CANCELLED, CampaignState.DONE, CampaignState.FAILED)


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """A campaign to be made; models as (role, model id), known to the models' table already."""

    name: str
    spec: Mapping[str, Any]
    seed: int
    code_version: str
    stages: tuple[StageName, ...]
    source_size: int | None = None
    models: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Campaign:
    """A screening; times are unix seconds."""

    id: int
    name: str
    spec: dict[str, Any]
    seed: int
    code_version: str
    state: CampaignState
    created_at: float
    finished_at: float | None
    priority: int = PRIORITY


COLUMNS = tuple(CampaignTable.__table__.columns)


def create_campaign(session: Session, new: NewCampaign, now: float) -> int:
    """Store a running campaign with its stages and models, and return its id."""
    campaign = CampaignTable(
        name=new.name,
        spec=dict(new.spec),
        seed=new.seed,
        code_version=new.code_version,
        state=CampaignState.RUNNING,
        created_at=now,
    )
    session.add(campaign)
    session.flush()
    for place, name in enumerate(sorted(new.stages, key=lambda stage: STAGE_ORDER[stage])):
        size = new.source_size if place == 0 else None
        values = {"campaign_id": campaign.id, "name": name, "ordinal": STAGE_ORDER[name], "source_size": size}
        session.execute(insert(StageTable).values(values))
    for role, model_id in new.models:
        values = {"campaign_id": campaign.id, "role": role, "model_id": model_id}
        session.execute(insert(CampaignModelTable).values(values))
    return campaign.id


def read_campaign(session: Session, campaign_id: int) -> Campaign:
    """One campaign; raises NotFound."""
    rows = _read(session, select(*COLUMNS).where(CampaignTable.id == campaign_id))
    if not rows:
        raise NotFound("campaign", campaign_id, "`sluice campaign list` shows all")
    return rows[0]


def list_campaigns(session: Session) -> list[Campaign]:
    """All campaigns, oldest first."""
    return _read(session, select(*COLUMNS).order_by(CampaignTable.id))


def latest_campaigns(
    session: Session, limit: int, before: int | None = None, state: CampaignState | None = None
) -> list[Campaign]:
    """So many campaigns, newest first: those with smaller ids than `before`, in any state or in one."""
    statement = select(*COLUMNS).order_by(CampaignTable.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(CampaignTable.id < before)
    return _read(session, statement if state is None else statement.where(CampaignTable.state == state))


def campaigns_in(session: Session, state: CampaignState) -> list[int]:
    """The ids of all campaigns in a state."""
    statement = select(CampaignTable.id).where(CampaignTable.state == state)
    return list(session.scalars(statement.order_by(CampaignTable.id)))


def move_campaign(session: Session, campaign_id: int, to: CampaignState, now: float) -> bool:
    """Move a campaign to another state; False where it stands in no state that leads there."""
    leaves = [state for state, moves in CAMPAIGN_MOVES.items() if to in moves]
    statement = (
        update(CampaignTable)
        .where(CampaignTable.id == campaign_id, CampaignTable.state.in_(leaves))
        .values(state=to, finished_at=now if to in FINAL else None)
    )
    return changed(session, statement) == 1


def set_priority(session: Session, campaign_id: int, priority: int) -> bool:
    """Give a campaign another share of the work; False where it has ended."""
    alive = (CampaignTable.id == campaign_id, CampaignTable.state.not_in(FINAL_FOR_GOOD))
    return changed(session, update(CampaignTable).where(*alive).values(priority=priority)) == 1


def _read(session: Session, statement: Select[Any]) -> list[Campaign]:
    rows = session.execute(statement).mappings()
    return [Campaign(**{**row, "state": CampaignState(row["state"])}) for row in rows]
