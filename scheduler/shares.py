"""Shares: whose chunk is queued next where several campaigns have work, by stride scheduling.

C. A. Waldspurger, W. E. Weihl, Stride Scheduling, MIT/LCS/TM-528 (1995). A campaign's pass grows by 1 / priority with
each chunk that is queued, and the least pass comes next: over any stretch in which two campaigns have work, the numbers
of their chunks stand as their priorities. Passes are one dispatcher's memory; the next leader starts even.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from storage.snapshots import CampaignView, ChunkView, Snapshot, StageView
from storage.states import CampaignState, StageName

Passes = Mapping[tuple[int, StageName], float]


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
    """The passes of the campaigns that run and have work; who comes starts with the least of those who were there."""
    running = (pair for pair in _views(snapshot) if pair[0].state == CampaignState.RUNNING)
    at_work = [(campaign.id, view.stage.name) for campaign, view in running if view.active or view.waiting]
    floors: dict[StageName, float] = {}
    for key in at_work:
        if key in passes:
            floors[key[1]] = min(floors.get(key[1], passes[key]), passes[key])
    return {key: passes.get(key, floors.get(key[1], 0.0)) for key in at_work}


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
