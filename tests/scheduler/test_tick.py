"""The dispatcher's decisions, against a model of the database and of workers that die, lag and repeat themselves."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.flow import UPSTREAM, streams
from scheduler.tick import (
    Cancel,
    Close,
    Expire,
    Fail,
    Finish,
    Forget,
    Grow,
    Halve,
    Limits,
    Move,
    Queue,
    Send,
    Unqueue,
    Watch,
    note_queued,
    note_sent,
    observe,
    tick,
)  # fmt: skip
from storage.heartbeats import PLANNED, UNPLANNED, Beat
from storage.leader import Leader
from storage.snapshots import CampaignView, ChunkView, Snapshot, StageView
from storage.stages import Stage
from storage.states import STAGE_ORDER, CampaignState, ChunkState, StageName

PATIENCE = Limits(ahead=2, in_flight=3, resend=5, lease=10, longest=100, errors=2, crashes=2)
LIMITS = dict.fromkeys(StageName, PATIENCE)
OPEN = (ChunkState.WAITING, ChunkState.QUEUED, ChunkState.RUNNING)
Item = int


@dataclass
class Row:
    """A chunk as the database holds it."""

    id: int
    stage: StageName
    items: tuple[Item, ...]
    state: ChunkState = ChunkState.WAITING
    attempt: int = 0
    errors: int = 0
    crashes: int = 0
    alone: bool = False
    worker: str | None = None
    drained: bool = False


@dataclass
class Process:
    """A worker process: what it believes to have in hand, whether or not its lease still stands."""

    id: str
    counter: int = 0
    named: tuple[tuple[int, int], ...] = ()
    hands: list[tuple[int, int]] = field(default_factory=list)
    alive: bool = True
    exited: str | None = None


class World:
    """Database, broker and worker processes of one campaign, in memory."""

    def __init__(self, items: int, top: int | None, killers: set[Item], raisers: set[Item]) -> None:
        self.items, self.top, self.killers, self.raisers = items, top, killers, raisers
        self.state = CampaignState.RUNNING
        self.stages = {
            name: Stage(1, name, STAGE_ORDER[name], 0, None, None, exhausted=False, closed=False) for name in StageName
        }
        self.rows: dict[int, Row] = {}
        self.results: dict[StageName, list[Item]] = {name: [] for name in StageName}
        self.failed: dict[StageName, list[Item]] = {name: [] for name in StageName}
        self.processes: dict[str, Process] = {}
        self.messages: list[int] = []
        self.epoch = 0

    # What the dispatcher sees and does

    def snapshot(self) -> Snapshot:
        stages = tuple(self._stage_view(name) for name in StageName)
        campaign = CampaignView(1, self.state, 0, {"csp": {"top": self.top}}, stages)
        beats = tuple(Beat(p.id, p.counter, p.named, True, (), p.exited) for p in self.processes.values())
        leader = Leader(self.epoch, "", 0)
        open_rows = any(row.state in OPEN for row in self.rows.values())
        shown = self.state in (CampaignState.RUNNING, CampaignState.PAUSED) or open_rows
        return Snapshot((campaign,) if shown else (), beats, leader)

    def _stage_view(self, name: StageName) -> StageView:
        rows = [row for row in self.rows.values() if row.stage == name]
        views = [
            ChunkView(r.id, 1, name, r.id, len(r.items), r.state, r.attempt, r.errors, r.crashes, r.alone, r.worker,
                      None, None)
            for r in rows
        ]  # fmt: skip
        active = tuple(v for v in views if v.state in (ChunkState.QUEUED, ChunkState.RUNNING))
        waiting = tuple(v for v in views if v.state == ChunkState.WAITING)
        undrained = sum(r.state == ChunkState.DONE and not r.drained for r in rows)
        return StageView(self.stages[name], {}, undrained, active, waiting)

    def apply(self, epoch: int, moves: list[Move]) -> list[int]:
        """Make the moves unless the epoch is over; the chunks to send messages for."""
        if epoch != self.epoch:
            return []
        return [chunk for move in moves for chunk in self._apply(move)]

    def _apply(self, move: Move) -> Iterator[int]:
        match move:
            case Queue(chunk) if self._moved(chunk, ChunkState.WAITING, ChunkState.QUEUED):
                yield chunk
            case Send(chunk) if self.rows[chunk].state == ChunkState.QUEUED:
                yield chunk
            case Unqueue(chunk):
                self._moved(chunk, ChunkState.QUEUED, ChunkState.WAITING)
            case Expire(chunk, attempt, crashed, alone):
                row = self.rows[chunk]
                if row.attempt == attempt and self._moved(chunk, ChunkState.RUNNING, ChunkState.WAITING):
                    row.crashes, row.alone, row.worker = row.crashes + crashed, alone, None
            case Halve(chunk) if self._moved(chunk, ChunkState.WAITING, ChunkState.SPLIT):
                row = self.rows[chunk]
                middle = len(row.items) // 2
                self._add(row.stage, row.items[:middle])
                self._add(row.stage, row.items[middle:])
            case Fail(chunk) if self._moved(chunk, ChunkState.WAITING, ChunkState.FAILED):
                self.failed[self.rows[chunk].stage] += self.rows[chunk].items
            case Grow(_, stage, count):
                self._grow(stage, count)
            case Close(_, stage):
                self.stages[stage] = replace(self.stages[stage], closed=True)
            case Finish():
                self.state = CampaignState.DONE
            case Cancel():
                self._cancel()
            case Forget(workers):
                for worker in workers:
                    self.processes.pop(worker, None)

    def _moved(self, chunk: int, leaves: ChunkState, to: ChunkState) -> bool:
        row = self.rows[chunk]
        fits = row.state == leaves and (to != ChunkState.QUEUED or self.state == CampaignState.RUNNING)
        row.state = to if fits else row.state
        return fits

    def _add(self, stage: StageName, items: tuple[Item, ...]) -> None:
        self.rows[len(self.rows)] = Row(len(self.rows), stage, items)

    def members(self, stage: StageName) -> list[Item]:
        """What a stage takes of its closed upstream: everything, or the best so many."""
        upstream = UPSTREAM[stage]
        if upstream is None:
            return list(range(self.items))
        survivors = sorted(self.results[upstream], reverse=upstream != StageName.CSP)
        return survivors[: self.top] if stage == StageName.CSP else survivors

    def _grow(self, stage: StageName, count: int) -> None:
        upstream, cursor = UPSTREAM[stage], self.stages[stage].cursor
        closed = upstream is None or self.stages[upstream].closed
        if streams({"csp": {"top": self.top}}, stage):
            ready = [r for r in self.rows.values() if r.stage == upstream and r.state == ChunkState.DONE]
            ready = [r for r in ready if not r.drained][:count]
            for row in ready:
                row.drained = True
                self._add(stage, row.items)
            done = closed and not ready
        else:
            assert closed, "a stage that takes the best was cut before its upstream closed"
            ahead = self.members(stage)[cursor : cursor + 3 * count]
            for start in range(0, len(ahead), 3):
                self._add(stage, tuple(ahead[start : start + 3]))
            cursor += len(ahead)
            done = cursor == len(self.members(stage))
        self.stages[stage] = replace(self.stages[stage], cursor=cursor, exhausted=done)

    def _cancel(self) -> None:
        for row in self.rows.values():
            row.state = ChunkState.CANCELLED if row.state in OPEN else row.state

    # What workers do

    def join(self) -> None:
        name = f"w{len(self.processes)}-{sum(p.counter for p in self.processes.values())}-{self.epoch}"
        while name in self.processes:
            name += "'"
        self.processes[name] = Process(name)

    def alive(self) -> list[Process]:
        return [process for process in self.processes.values() if process.alive]

    def beat(self, process: Process) -> None:
        process.counter += 1
        process.named = tuple(process.hands)

    def deliver(self, chunk: int, process: Process) -> None:
        """A message arrives; a chunk that must be alone is left to its next message while hands are full."""
        row = self.rows[chunk]
        company = any(self.rows[other].alone for other, _ in process.hands)
        if row.state != ChunkState.QUEUED or self.state != CampaignState.RUNNING:
            return
        if company or (row.alone and process.hands):
            return
        row.state, row.attempt, row.worker = ChunkState.RUNNING, row.attempt + 1, process.id
        process.hands.append((chunk, row.attempt))
        if row.alone:
            self.beat(process)

    def work(self, process: Process, place: int) -> None:
        """One attempt in hand comes to its end: recorded, raised, or the death of its process."""
        chunk, attempt = process.hands[place]
        row = self.rows[chunk]
        if self.killers & set(row.items):
            self.end(process, UNPLANNED)
            return
        process.hands.pop(place)
        if row.state != ChunkState.RUNNING or row.attempt != attempt:
            return  # late: the fence holds
        if self.raisers & set(row.items):
            row.state, row.errors, row.worker = ChunkState.WAITING, row.errors + 1, None
        else:
            row.state = ChunkState.DONE
            self.results[row.stage] += row.items

    def end(self, process: Process, seen: str | None) -> None:
        process.alive, process.exited, process.hands = False, seen, []


@dataclass
class Dispatcher:
    """A dispatcher with its own watch; its moves were decided in an epoch that may be over when they are applied."""

    watch: Watch = field(default_factory=Watch)
    epoch: int = -1
    moves: list[Move] = field(default_factory=list)
    picture: Snapshot = Snapshot((), (), Leader(0, "", 0))

    def decide(self, now: float, world: World) -> None:
        self.picture = world.snapshot()
        self.watch = observe(now, self.watch, self.picture)
        self.moves = tick(now, self.picture, self.watch, LIMITS)

    def act(self, now: float, world: World) -> None:
        sent = world.apply(self.epoch, self.moves)
        world.messages += sent
        self.watch = note_queued(note_sent(now, self.watch, sent), self.picture, self.moves)
        self.moves = []


class Storm(RuleBasedStateMachine):
    """Everything that can go wrong, in any order; and in the end everything is accounted for."""

    @initialize(
        items=st.integers(0, 14),
        top=st.one_of(st.none(), st.integers(1, 6)),
        killers=st.sets(st.integers(0, 13), max_size=2),
        raisers=st.sets(st.integers(0, 13), max_size=2),
    )
    def begin(self, items: int, top: int | None, killers: set[Item], raisers: set[Item]) -> None:
        self.world = World(items, top, killers, raisers)
        self.dispatchers = [Dispatcher(), Dispatcher()]
        self.now = 0.0
        self.world.join()
        self.lead(0)

    @rule(which=st.integers(0, 1))
    def lead(self, which: int) -> None:
        self.world.epoch += 1
        self.dispatchers[which].epoch = self.world.epoch

    @rule(which=st.integers(0, 1))
    def decide(self, which: int) -> None:
        self.dispatchers[which].decide(self.now, self.world)

    @rule(which=st.integers(0, 1))
    def act(self, which: int) -> None:
        self.dispatchers[which].act(self.now, self.world)

    @rule(which=st.integers(0, 1))
    def dispatch(self, which: int) -> None:
        self.decide(which)
        self.act(which)

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.world.messages and self.world.alive())
    @rule(data=st.data(), keep=st.booleans())
    def deliver(self, data: st.DataObject, keep: bool) -> None:
        message = data.draw(st.sampled_from(self.world.messages))
        if not keep:
            self.world.messages.remove(message)
        self.world.deliver(message, data.draw(st.sampled_from(self.world.alive())))

    @precondition(lambda self: self.world.messages)
    @rule()
    def lose_messages(self) -> None:
        self.world.messages.clear()

    @rule()
    def start_worker(self) -> None:
        self.world.join()

    @precondition(lambda self: any(p.hands for p in self.world.alive()))
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from([p for p in self.world.alive() if p.hands]))
        self.world.work(process, data.draw(st.integers(0, len(process.hands) - 1)))

    @precondition(lambda self: any(p.hands for p in self.world.alive()))
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from([p for p in self.world.alive() if p.hands]))
        process.hands.pop()

    @precondition(lambda self: self.world.alive())
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        self.world.beat(data.draw(st.sampled_from(self.world.alive())))

    @precondition(lambda self: self.world.alive())
    @rule(data=st.data(), seen=st.sampled_from([PLANNED, None]))
    def kill_worker(self, data: st.DataObject, seen: str | None) -> None:
        self.world.end(data.draw(st.sampled_from(self.world.alive())), seen)

    @precondition(lambda self: self.world.state == CampaignState.RUNNING)
    @rule()
    def pause(self) -> None:
        self.world.state = CampaignState.PAUSED

    @precondition(lambda self: self.world.state == CampaignState.PAUSED)
    @rule()
    def resume(self) -> None:
        self.world.state = CampaignState.RUNNING

    @invariant()
    def nothing_is_doubled(self) -> None:
        if hasattr(self, "world"):
            for stage in StageName:
                items = self.world.results[stage] + self.world.failed[stage]
                assert len(items) == len(set(items))

    @invariant()
    def only_the_guilty_fail(self) -> None:
        if hasattr(self, "world"):
            failed = {item for items in self.world.failed.values() for item in items}
            assert failed <= self.world.killers | self.world.raisers

    @invariant()
    def work_under_way_is_bounded(self) -> None:
        if hasattr(self, "world"):
            for stage in StageName:
                queued = [r for r in self.world.rows.values() if r.stage == stage and r.state == ChunkState.QUEUED]
                assert len(queued) <= LIMITS[stage].in_flight

    def teardown(self) -> None:
        """From any moment on, a calm that lasts brings the campaign to its only possible end."""
        world = self.world
        world.state = CampaignState.RUNNING if world.state == CampaignState.PAUSED else world.state
        self.lead(0)
        for _ in range(1500):
            if world.state == CampaignState.DONE:
                break
            self.calm_step()
        assert world.state == CampaignState.DONE, "the campaign does not end"
        for stage in StageName:
            assert sorted(world.results[stage] + world.failed[stage]) == sorted(world.members(stage))
        assert all(row.state not in OPEN for row in world.rows.values())

    def calm_step(self) -> None:
        self.now += 1.0
        self.dispatch(0)
        if not self.world.alive():
            self.world.join()
        for message in [self.world.messages.pop(0) for _ in range(len(self.world.messages))]:
            if self.world.alive():
                self.world.deliver(message, self.world.alive()[0])
        for process in self.world.alive():
            self.world.beat(process)
            if process.hands:
                self.world.work(process, 0)


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def stepped(world: World, dispatcher: Dispatcher, now: float) -> list[Move]:
    dispatcher.decide(now, world)
    moves = list(dispatcher.moves)
    dispatcher.act(now, world)
    return moves


def test_wall_clock_plays_no_part_and_a_silent_worker_loses_its_chunk() -> None:
    world, dispatcher = World(3, None, set(), set()), Dispatcher(epoch=0)
    world.join()
    [process] = world.alive()
    stepped(world, dispatcher, 0)
    assert stepped(world, dispatcher, 1)[0] == Queue(0)
    world.deliver(0, process)
    world.beat(process)
    stepped(world, dispatcher, 2)
    assert not any(isinstance(move, Expire) for move in stepped(world, dispatcher, 12))
    assert Expire(0, 1, crashed=False, alone=False) in stepped(world, dispatcher, 12.1)


def test_queued_chunk_is_sent_again_after_its_deadline_and_at_once_by_a_new_leader() -> None:
    world, dispatcher = World(3, None, set(), set()), Dispatcher(epoch=0)
    stepped(world, dispatcher, 0)
    stepped(world, dispatcher, 1)
    assert Send(0) not in stepped(world, dispatcher, 5)
    assert Send(0) in stepped(world, dispatcher, 6)
    assert Send(0) in stepped(world, Dispatcher(epoch=0), 6.1)


def test_crash_counts_only_alone_in_hand() -> None:
    world, dispatcher = World(6, None, {0}, set()), Dispatcher(epoch=0)
    world.join()
    [first] = world.alive()
    stepped(world, dispatcher, 0)
    stepped(world, dispatcher, 1)
    world.deliver(0, first)
    world.deliver(1, first)
    world.work(first, 0)
    moves = stepped(world, dispatcher, 2)
    expired = [move for move in moves if isinstance(move, Expire)]
    assert expired == [Expire(0, 1, crashed=False, alone=True), Expire(1, 1, crashed=False, alone=True)]
    assert (world.rows[0].crashes, world.rows[1].crashes) == (0, 0)


def test_cancelled_campaign_settles_its_chunks() -> None:
    world, dispatcher = World(6, None, set(), set()), Dispatcher(epoch=0)
    stepped(world, dispatcher, 0)
    world.state = CampaignState.CANCELLED
    assert stepped(world, dispatcher, 1) == [Cancel(1)]
    assert stepped(world, dispatcher, 2) == []


def test_chunks_that_wait_beyond_the_picture_are_counted_too() -> None:
    stage = Stage(1, StageName.PREDICT, 0, 0, None, None, exhausted=False, closed=False)
    head = ChunkView(1, 1, StageName.PREDICT, 0, 1, ChunkState.WAITING, 0, 0, 0, False, None, None, None)
    limits = dict.fromkeys(StageName, replace(PATIENCE, ahead=5))
    for waiting, expected in ((3, [Grow(1, StageName.PREDICT, 2)]), (5, []), (9, [])):
        view = StageView(stage, {ChunkState.WAITING: waiting}, 0, (), (head,))
        picture = Snapshot((CampaignView(1, CampaignState.RUNNING, 0, {}, (view,)),), (), Leader(0, "", 0))
        moves = tick(0.0, picture, Watch(), limits)
        assert [move for move in moves if isinstance(move, Grow)] == expected
