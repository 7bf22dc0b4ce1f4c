"""The funnel: how far each stage of a campaign is, and what became of its inputs."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.moves import Counts
from storage.stages import Stage, read_stages
from storage.states import ChunkState, StageName
from storage.tables import ChunkTable

ENDS = ("input", "survived", "rejected", "duplicate", "invalid", "failed")


@dataclass(frozen=True, slots=True)
class StageReport:
    """A stage: chunks by state, the counts of ended chunks, seconds of compute, first start and last end."""

    name: StageName
    closed: bool
    exhausted: bool
    cursor: int
    source_size: int | None
    chunks: dict[ChunkState, int]
    counts: Counts
    compute_seconds: float
    first_at: float | None
    last_at: float | None

    @property
    def rate(self) -> float | None:
        """Inputs per second from the first start to the last end, pauses included; None before the first end."""
        if self.first_at is None or self.last_at is None or self.last_at <= self.first_at:
            return None
        return self.counts.input / (self.last_at - self.first_at)


def funnel(session: Session, campaign_id: int) -> list[StageReport]:
    """The stages of a campaign, in order, each with its counts."""
    return [_report(session, stage) for stage in read_stages(session, campaign_id)]


def _report(session: Session, stage: Stage) -> StageReport:
    here = (ChunkTable.campaign_id == stage.campaign_id, ChunkTable.stage == stage.name)
    states = session.execute(select(ChunkTable.state, func.count()).where(*here).group_by(ChunkTable.state))
    chunks = {ChunkState(state): count for state, count in states}
    sums = (func.coalesce(func.sum(getattr(ChunkTable, name)), 0) for name in ENDS)
    times = (
        func.coalesce(func.sum(ChunkTable.compute_seconds), 0.0),
        func.min(ChunkTable.started_at),
        func.max(ChunkTable.done_at),
    )
    *ends, compute, first, last = session.execute(select(*sums, *times).where(*here)).one()
    return StageReport(
        name=stage.name,
        closed=stage.closed,
        exhausted=stage.exhausted,
        cursor=stage.cursor,
        source_size=stage.source_size,
        chunks=chunks,
        counts=Counts(*(int(end) for end in ends)),
        compute_seconds=compute,
        first_at=first,
        last_at=last,
    )
