"""Campaigns share each stage by priority, whoever comes, goes or changes its priority."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.shares import MOST_SAVED
from scheduler.tick import Limits, Queue, Watch, note_queued, observe, tick
from storage.leader import Leader
from storage.snapshots import CampaignView, ChunkView, Snapshot, StageView
from storage.stages import Stage
from storage.states import CampaignState, ChunkState, StageName

STAGE = StageName.PREDICT
HEADS = 8  # more than any window of these tests


class Yard:
    """Campaigns with endless work in one stage; what runs ends when the test says so."""

    def __init__(self, window: int) -> None:
        self.limits = {STAGE: replace(Limits(), in_flight=window)}
        self.priorities: dict[int, int] = {}
        self.paused: set[int] = set()
        self.dry: set[int] = set()  # nothing of theirs waits
        self.active: list[ChunkView] = []
        self.waiting: dict[int, list[ChunkView]] = {}
        self.queued: list[int] = []  # the campaign of each chunk, in the order in which they were queued
        self.watch = Watch()
        self.ids = count(1)

    def enter(self, campaign: int, priority: int) -> None:
        self.priorities[campaign] = priority
        self.waiting[campaign] = []

    def picture(self) -> Snapshot:
        return Snapshot(tuple(self._campaign(campaign) for campaign in self.priorities), (), Leader(1, "d", 0))

    def _campaign(self, campaign: int) -> CampaignView:
        own = self.waiting[campaign]
        while len(own) < HEADS:
            own.append(
                ChunkView(next(self.ids), campaign, STAGE, 0, 1, ChunkState.WAITING, 0, 0, 0, False, None, None, None)
            )
        stage = Stage(campaign, STAGE, 0, 0, None, None, exhausted=True, closed=False)
        active = tuple(chunk for chunk in self.active if chunk.campaign_id == campaign)
        state = CampaignState.PAUSED if campaign in self.paused else CampaignState.RUNNING
        view = StageView(stage, {}, 0, active, () if campaign in self.dry else tuple(own))
        return CampaignView(campaign, state, 0, {}, (view,), self.priorities[campaign])

    def round(self) -> None:
        picture = self.picture()
        self.watch = observe(0.0, self.watch, picture)
        moves = [move for move in tick(0.0, picture, self.watch, self.limits) if isinstance(move, Queue)]
        self.watch = note_queued(self.watch, picture, moves)
        for move in moves:
            chunk = next(chunk for own in self.waiting.values() for chunk in own if chunk.id == move.chunk)
            self.waiting[chunk.campaign_id].remove(chunk)
            self.active.append(replace(chunk, state=ChunkState.RUNNING))
            self.queued.append(chunk.campaign_id)

    def end(self, place: int) -> None:
        self.active.pop(place % len(self.active))


def even(counts: Mapping[int, int], priorities: Mapping[int, int]) -> None:
    """No two campaigns are apart by more than one chunk of each."""
    passes = {campaign: counts.get(campaign, 0) / priority for campaign, priority in priorities.items()}
    for one, other in ((one, other) for one in passes for other in passes):
        assert abs(passes[one] - passes[other]) <= 1 / priorities[one] + 1 / priorities[other] + 1e-9


shared = st.lists(st.integers(1, 100), min_size=2, max_size=5)
endings = st.lists(st.integers(0, 5), min_size=20, max_size=60)
few = settings(max_examples=40, deadline=None)


@few
@given(priorities=shared, window=st.integers(1, 6), ended=endings)
def test_chunks_stand_as_priorities_and_the_window_holds(priorities: list[int], window: int, ended: list[int]) -> None:
    yard = Yard(window)
    for campaign, priority in enumerate(priorities, start=1):
        yard.enter(campaign, priority)
    for place in ended:
        yard.round()
        assert len(yard.active) == window
        even(Counter(yard.queued), yard.priorities)
        yard.end(place)


@few
@given(priorities=shared, before=endings, after=endings)
def test_a_newcomer_takes_its_share_from_its_first_chunk_on_and_no_more(
    priorities: list[int], before: list[int], after: list[int]
) -> None:
    yard = Yard(window=2)
    for campaign, priority in enumerate(priorities[:-1], start=1):
        yard.enter(campaign, priority)
    for place in before:
        yard.round()
        yard.end(place)
    newcomer = len(priorities)
    yard.enter(newcomer, priorities[-1])
    start = len(yard.queued)
    for place in after:
        yard.round()
        yard.end(place)
    since = Counter(yard.queued[start:])
    for campaign, priority in yard.priorities.items():
        # The others may have been one chunk ahead or behind when it came.
        ahead = since[newcomer] / priorities[-1] - since[campaign] / priority
        assert abs(ahead) <= 2 / priority + 2 / priorities[-1] + 1e-9


@few
@given(ended=endings)
def test_what_was_paused_gets_no_credit_for_it(ended: list[int]) -> None:
    yard = Yard(window=1)
    yard.enter(1, 10)
    yard.enter(2, 10)
    yard.paused = {2}
    for place in ended:
        yard.round()
        yard.end(place)
    assert set(yard.queued) == {1}
    yard.paused = set()
    start = len(yard.queued)
    for place in range(10):
        yard.round()
        yard.end(place)
    assert sorted(Counter(yard.queued[start:]).values()) == [5, 5]


def test_a_trickle_saves_up_no_turns_for_itself_or_for_a_newcomer() -> None:
    yard = Yard(window=2)
    yard.enter(1, 10)
    yard.enter(2, 10)
    yard.round()
    yard.dry = {2}  # its chunk goes on running, and nothing of it waits
    for _ in range(200):
        yard.end(next(place for place, chunk in enumerate(yard.active) if chunk.campaign_id == 1))
        yard.round()
    yard.dry = set()
    yard.enter(3, 10)
    start = len(yard.queued)
    for place in range(90):
        yard.round()
        yard.end(place)
    since = Counter(yard.queued[start:])
    assert since[3] <= since[2] <= since[1] + 10 * MOST_SAVED + 2
    assert since[1] >= 20


def test_another_priority_acts_with_the_next_chunk() -> None:
    yard = Yard(window=1)
    yard.enter(1, 10)
    yard.enter(2, 10)
    for place in range(6):
        yard.round()
        yard.end(place)
    assert yard.queued == [1, 2, 1, 2, 1, 2]
    yard.priorities[2] = 40
    for place in range(10):
        yard.round()
        yard.end(place)
    assert Counter(yard.queued[6:]) == {1: 2, 2: 8}
