"""The stages of a campaign: how far each has been cut into chunks, and whether it is closed."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.leader import leads
from storage.rows import changed
from storage.states import StageName
from storage.tables import StageTable


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage; the cursor counts the inputs cut so far, cursor_formula is the last member taken of a ranking."""

    campaign_id: int
    name: StageName
    ordinal: int
    cursor: int
    cursor_formula: str | None
    source_size: int | None
    exhausted: bool
    closed: bool


def read_stages(session: Session, campaign_id: int) -> list[Stage]:
    """The stages of a campaign, in the order of the funnel."""
    return all_stages(session, [campaign_id])


def all_stages(session: Session, campaign_ids: list[int]) -> list[Stage]:
    """The stages of several campaigns, in the order of the funnel."""
    statement = (
        select(*StageTable.__table__.columns)
        .where(StageTable.campaign_id.in_(campaign_ids))
        .order_by(StageTable.campaign_id, StageTable.ordinal)
    )
    return [Stage(**{**row, "name": StageName(row["name"])}) for row in session.execute(statement).mappings()]


def set_source_size(session: Session, campaign_id: int, size: int) -> None:
    """Store how many formulas the source holds, on the first stage."""
    first = select(StageTable.name).where(StageTable.campaign_id == campaign_id).order_by(StageTable.ordinal).limit(1)
    here = StageTable.name == first.scalar_subquery()
    changed(session, update(StageTable).where(StageTable.campaign_id == campaign_id, here).values(source_size=size))


def close_stage(session: Session, epoch: int, campaign_id: int, name: StageName) -> bool:
    """Close a stage for good."""
    statement = update(StageTable).where(
        StageTable.campaign_id == campaign_id,
        StageTable.name == name,
        StageTable.exhausted.is_(True),
        StageTable.closed.is_(False),
        leads(epoch),
    )
    return changed(session, statement.values(closed=True)) == 1
