"""Shares: whose chunk is queued next where several campaigns have work, by stride scheduling.

C. A. Waldspurger, W. E. Weihl, Stride Scheduling, MIT/LCS/TM-528 (1995). A campaign's pass grows by 1 / priority with
each chunk that is queued, and the least pass comes next: over any stretch in which two campaigns have work, the numbers
of their chunks stand as their priorities. Passes are one dispatcher's memory; the next leader starts even.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf

from storage.snapshots import CampaignView, ChunkView, Snapshot, StageView
from storage.states import CampaignState, StageName

Passes = Mapping[tuple[int, StageName], float]
MOST_SAVED = 1.0  # what one chunk of the lowest priority costs


def in_turn(
    heads: Mapping[int, Sequence[int]], priorities: Mapping[int, int], passes: Mapping[int, float], room: int
) -> list[int]:
    """The next chunks of one stage, at most so many; heads are the waiting chunks of each campaign, in their order."""
    lines = {campaign: deque(chunks) for campaign, chunks in heads.items() if chunks}
    spent = {campaign: passes.get(campaign, 0.0) for campaign in lines}
    chosen: list[int] = []
    while lines and len(chosen) < room:
        campaign = min(lines, key=lambda one: (spent[one], one))
        chosen.append(lines[campaign].popleft())
        spent[campaign] += 1 / priorities[campaign]
        if not lines[campaign]:
            del lines[campaign]
    return chosen


def entered(passes: Passes, snapshot: Snapshot) -> Passes:
    """The passes of the campaigns that run and have work; who comes starts with the least of those who wait for turns.

    Who has nothing that waits saves up no more than MOST_SAVED: a trickle that grew would keep all others waiting.
    """
    running = [pair for pair in _views(snapshot) if pair[0].state == CampaignState.RUNNING]
    found: dict[tuple[int, StageName], float] = {}
    for stage in {view.stage.name for _, view in running}:
        at_work = {(one.id, stage): view for one, view in running if view.stage.name == stage and _has_work(view)}
        level = _level(passes, at_work)
        for key, view in at_work.items():
            least = -inf if view.waiting else level - MOST_SAVED
            found[key] = max(passes.get(key, level), least)
    return found


def _has_work(view: StageView) -> bool:
    return bool(view.active or view.waiting)


def _level(passes: Passes, at_work: Mapping[tuple[int, StageName], StageView]) -> float:
    """The least pass of those whose chunks wait; where none do, the largest."""
    known = {key: passes[key] for key in at_work if key in passes}
    waiting = [spent for key, spent in known.items() if at_work[key].waiting]
    return min(waiting) if waiting else max(known.values(), default=0.0)


def charged(passes: Passes, snapshot: Snapshot, queued: Iterable[int]) -> Passes:
    """The passes after these chunks were queued."""
    chunks = set(queued)
    spent = dict(passes)
    for campaign, view in _views(snapshot):
        count = sum(chunk.id in chunks for chunk in view.waiting)
        if count:
            key = (campaign.id, view.stage.name)
            spent[key] = spent.get(key, 0.0) + count / campaign.priority
    return spent


def running_views(snapshot: Snapshot, stage: StageName) -> Iterator[tuple[CampaignView, StageView]]:
    """This stage of each campaign that runs."""
    running = (pair for pair in _views(snapshot) if pair[0].state == CampaignState.RUNNING)
    return ((campaign, view) for campaign, view in running if view.stage.name == stage)


def under_way(snapshot: Snapshot, stage: StageName) -> list[ChunkView]:
    """The chunks of a stage that are queued or run, whatever their campaign does."""
    return [chunk for _, view in _views(snapshot) if view.stage.name == stage for chunk in view.active]


def _views(snapshot: Snapshot) -> Iterator[tuple[CampaignView, StageView]]:
    return ((campaign, view) for campaign in snapshot.campaigns for view in campaign.stages)
