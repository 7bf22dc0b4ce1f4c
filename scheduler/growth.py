"""Cutting the next chunks of a stage from its source, from the best of its upstream, or from what streams."""

from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy.orm import Session

from scheduler.flow import UPSTREAM, streams
from scheduler.spec import CampaignSpec
from storage.chunks import Cut, NewChunk, add_chunks
from storage.members import survivors, top_members, undrained_chunks
from storage.snapshots import CampaignView
from storage.sources import source_counts
from storage.stages import Stage
from storage.states import StageName

SIZES: dict[StageName, int] = {StageName.PREDICT: 1024, StageName.CSP: 4, StageName.JUDGE: 8, StageName.EXPLAIN: 32}


@dataclass(frozen=True, slots=True)
class Growing:
    """A stage to be cut: how many chunks at most, in whose lead."""

    epoch: int
    campaign: CampaignView
    stage: Stage
    count: int


def grow(session: Session, growing: Growing) -> bool:
    """Cut the next chunks, or note that there are no more; False where someone else was first."""
    upstream = UPSTREAM[growing.stage.name]
    if upstream is None:
        cut = _from_source(session, growing)
    elif streams(growing.campaign.spec, growing.stage.name):
        cut = _from_stream(session, growing, upstream)
    else:
        cut = _from_best(session, growing, upstream)
    idle = not cut.chunks and not cut.exhausted and not cut.drained
    return idle or add_chunks(session, growing.epoch, cut)


def _from_source(session: Session, growing: Growing) -> Cut:
    stage, size = growing.stage, SIZES[growing.stage.name]
    # A file may still be on its way into the database; what has come can be screened.
    known = source_counts(session, stage.campaign_id).unique if stage.source_size is None else stage.source_size
    whole = known if stage.source_size is not None else known - known % size
    stop = min(whole, stage.cursor + growing.count * size)
    chunks = tuple(NewChunk(start, min(start + size, stop)) for start in range(stage.cursor, stop, size))
    return _cut(stage, stop, chunks, stop == stage.source_size)


def _from_best(session: Session, growing: Growing, upstream: StageName) -> Cut:
    stage, size = growing.stage, SIZES[growing.stage.name]
    top = _top(CampaignSpec.model_validate(growing.campaign.spec), stage.name)
    left = top - stage.cursor
    wanted = min(left, growing.count * size)
    members = top_members(session, stage.campaign_id, upstream, wanted, stage.cursor_formula) if wanted > 0 else []
    formulas = [member.formula for member in members]
    exhausted = len(members) == left or len(members) < growing.count * size
    last = formulas[-1] if formulas else stage.cursor_formula
    return _cut(stage, stage.cursor + len(formulas), _packed(formulas, size), exhausted, last)


def _from_stream(session: Session, growing: Growing, upstream: StageName) -> Cut:
    stage = growing.stage
    ready = undrained_chunks(session, stage.campaign_id, upstream, growing.count)
    formulas = survivors(session, ready)
    closed = any(view.stage.name == upstream and view.stage.closed for view in growing.campaign.stages)
    cut = _cut(stage, stage.cursor + len(formulas), _packed(formulas, SIZES[stage.name]), closed and not ready)
    return replace(cut, drained=tuple(ready))


def _cut(stage: Stage, cursor: int, chunks: tuple[NewChunk, ...], exhausted: bool, last: str | None = None) -> Cut:
    return Cut(stage.campaign_id, stage.name, stage.cursor, cursor, chunks, exhausted, last)


def _packed(formulas: list[str], size: int) -> tuple[NewChunk, ...]:
    rest = iter(formulas)
    return tuple(NewChunk(formulas=tuple(pack)) for pack in iter(lambda: list(islice(rest, size)), []))


def _top(spec: CampaignSpec, stage: StageName) -> int:
    asked = spec.explain if stage == StageName.EXPLAIN else spec.csp
    assert asked is not None and asked.top is not None, f"{stage} without a number of members"
    return asked.top
