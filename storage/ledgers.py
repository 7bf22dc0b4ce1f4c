"""Ledgers: what all chunks together came to, by stage."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.states import STAGE_ORDER, ChunkState, StageName
from storage.tables import CampaignTable, ChunkTable

SUMMED = (
    "survived", "rejected", "duplicate", "invalid", "failed",
    "attempt", "errors", "crashes", "expiries",
    "load_seconds", "compute_seconds", "record_seconds",
    "device_seconds", "idle_seconds", "batches", "batch_items",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StageLedger:
    """The chunks of a stage by state, and the sum of each of the columns SUMMED over them."""

    stage: StageName
    chunks: Mapping[ChunkState, int]
    sums: Mapping[str, float]


def stage_ledgers(session: Session, campaign_id: int | None = None) -> list[StageLedger]:
    """The ledger of each stage that has chunks, of one campaign or of all, in the order of the funnel."""
    sums = (func.coalesce(func.sum(getattr(ChunkTable, name)), 0) for name in SUMMED)
    statement = select(ChunkTable.stage, ChunkTable.state, func.count(), *sums)
    if campaign_id is not None:
        statement = statement.where(ChunkTable.campaign_id == campaign_id)
    rows = session.execute(statement.group_by(ChunkTable.stage, ChunkTable.state)).all()
    stages = sorted({StageName(row[0]) for row in rows}, key=STAGE_ORDER.__getitem__)
    return [_ledger(stage, [row for row in rows if row[0] == stage]) for stage in stages]


def count_campaigns(session: Session) -> dict[str, int]:
    """How many campaigns stand in each state."""
    return dict(session.execute(select(CampaignTable.state, func.count()).group_by(CampaignTable.state)).all())


def _ledger(stage: StageName, rows: list[tuple[object, ...]]) -> StageLedger:
    chunks = {ChunkState(str(row[1])): int(str(row[2])) for row in rows}
    sums = {name: sum(float(str(row[place])) for row in rows) for place, name in enumerate(SUMMED, start=3)}
    return StageLedger(stage, chunks, sums)
