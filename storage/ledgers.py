"""Ledgers: what all chunks together came to, by stage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from storage.rows import batches
from storage.states import STAGE_ORDER, ChunkState, StageName
from storage.tables import CampaignTable, ChunkTable, StageTable

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
    statement = _sums()
    if campaign_id is not None:
        statement = statement.where(ChunkTable.campaign_id == campaign_id)
    rows = session.execute(statement.group_by(ChunkTable.stage, ChunkTable.state)).all()
    stages = sorted({StageName(row[0]) for row in rows}, key=STAGE_ORDER.__getitem__)
    return [_ledger(stage, [row for row in rows if row[0] == stage]) for stage in stages]


def ledgers_of(session: Session, stages: Iterable[tuple[int, StageName]]) -> list[StageLedger]:
    """The ledgers of stages of campaigns, several of one name added up; only their chunks are looked at."""
    wanted = sorted({*stages})
    ledgers: list[StageLedger] = []
    for name in sorted({name for _, name in wanted}, key=STAGE_ORDER.__getitem__):
        for ids in batches(campaign for campaign, stage in wanted if stage == name):
            here = _sums().where(ChunkTable.campaign_id.in_(ids), ChunkTable.stage == name)
            rows = session.execute(here.group_by(ChunkTable.stage, ChunkTable.state)).all()
            ledgers += [_ledger(name, rows)] if rows else []
    return add_ledgers(ledgers)


def add_ledgers(ledgers: Iterable[StageLedger]) -> list[StageLedger]:
    """One ledger for each stage, in the order of the funnel."""
    added: dict[StageName, StageLedger] = {}
    for ledger in ledgers:
        before = added.get(ledger.stage, StageLedger(ledger.stage, {}, {}))
        chunks = {state: before.chunks.get(state, 0) + count for state, count in ledger.chunks.items()}
        sums = {name: before.sums.get(name, 0.0) + value for name, value in ledger.sums.items()}
        added[ledger.stage] = StageLedger(ledger.stage, {**before.chunks, **chunks}, sums)
    return [added[name] for name in sorted(added, key=STAGE_ORDER.__getitem__)]


def stages_by_end(session: Session) -> dict[bool, set[tuple[int, StageName]]]:
    """The stages of all campaigns, those that are closed for good and those that are not."""
    found: dict[bool, set[tuple[int, StageName]]] = {True: set(), False: set()}
    for campaign, name, closed in session.execute(select(StageTable.campaign_id, StageTable.name, StageTable.closed)):
        found[closed].add((campaign, StageName(name)))
    return found


def count_campaigns(session: Session) -> dict[str, int]:
    """How many campaigns stand in each state."""
    return dict(session.execute(select(CampaignTable.state, func.count()).group_by(CampaignTable.state)).all())


def _sums() -> Select[*tuple[Any, ...]]:
    sums = (func.coalesce(func.sum(getattr(ChunkTable, name)), 0) for name in SUMMED)
    return select(ChunkTable.stage, ChunkTable.state, func.count(), *sums)


def _ledger(stage: StageName, rows: Sequence[Row[*tuple[Any, ...]]]) -> StageLedger:
    chunks = {ChunkState(str(row[1])): int(str(row[2])) for row in rows}
    sums = {name: sum(float(str(row[place])) for row in rows) for place, name in enumerate(SUMMED, start=3)}
    return StageLedger(stage, chunks, sums)
