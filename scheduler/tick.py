"""What happens next: a pure function from what is known to the moves to make."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scheduler.flow import UPSTREAM, streams
from scheduler.shares import Passes, charged, entered, in_turn, running_views, under_way
from storage.heartbeats import UNPLANNED, Beat
from storage.snapshots import CampaignView, ChunkView, Snapshot, StageView
from storage.states import CampaignState, ChunkState, StageName

Attempt = tuple[int, int]  # chunk id, attempt


@dataclass(frozen=True, slots=True)
class Limits:
    """How far ahead to cut, how much to have under way, and when patience ends (seconds)."""

    ahead: int = 4
    in_flight: int = 4
    resend: float = 30.0
    lease: float = 10.0
    longest: float = 3600.0
    errors: int = 3
    crashes: int = 2


@dataclass(frozen=True, slots=True)
class Watch:
    """What this dispatcher has seen, timed by its own monotonic clock."""

    sent: Mapping[int, float] = field(default_factory=dict)  # queued chunk → when its message last went out
    beats: Mapping[str, tuple[int, float]] = field(default_factory=dict)  # worker → counter, when it last moved
    attempts: Mapping[Attempt, tuple[int, float]] = field(default_factory=dict)  # → owner's counter, when first seen
    passes: Passes = field(default_factory=dict)  # campaign, stage → what it has had of the stage's turns


@dataclass(frozen=True, slots=True)
class Grow:
    """Slice the next chunks of a stage, or find that there are no more."""

    campaign: int
    stage: StageName
    count: int


@dataclass(frozen=True, slots=True)
class Queue:
    """Mark a waiting chunk as queued and send its message."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send the message of a queued chunk once more."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Unqueue:
    """Take a queued chunk back, its campaign being paused."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Expire:
    """Take a running chunk back from an attempt that will not end; `crashed` counts, `alone` bars company."""

    chunk: int
    attempt: int
    crashed: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class Halve:
    """Replace a chunk that keeps failing by its two halves."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up a chunk of a single composition."""

    chunk: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Settle what is left of a cancelled campaign."""

    campaign: int


@dataclass(frozen=True, slots=True)
class Close:
    """Declare that a stage will never have another chunk."""

    campaign: int
    stage: StageName


@dataclass(frozen=True, slots=True)
class Finish:
    """Declare a campaign done."""

    campaign: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the rows of workers that ended and hold nothing."""

    workers: tuple[str, ...]


Move = Grow | Queue | Send | Unqueue | Expire | Halve | Fail | Cancel | Close | Finish | Forget


def tick(now: float, snapshot: Snapshot, watch: Watch, limits: Mapping[StageName, Limits]) -> list[Move]:
    """The moves to make now, in the order in which to make them."""
    moves = list(_expiries(now, snapshot, watch, limits))
    for campaign in snapshot.campaigns:
        match campaign.state:
            case CampaignState.RUNNING:
                moves += _running_moves(now, campaign, watch, limits)
            case CampaignState.PAUSED | CampaignState.FAILED:
                moves += (Unqueue(chunk.id) for chunk in _chunks(campaign, ChunkState.QUEUED))
            case _:
                moves.append(Cancel(campaign.id))
    moves += (move for stage in limits for move in _queueings(snapshot, stage, watch, limits[stage]))
    return [*moves, *_forgettings(now, snapshot, watch, limits)]


def observe(now: float, watch: Watch, snapshot: Snapshot) -> Watch:
    """The watch brought up to date: a counter that moved, an attempt not seen before, start their clocks now."""
    counters = {beat.worker_id: beat.counter for beat in snapshot.beats}
    beats = {}
    for worker, counter in counters.items():
        seen = watch.beats.get(worker)
        beats[worker] = seen if seen and seen[0] == counter else (counter, now)
    attempts = {}
    for chunk in _all_running(snapshot):
        fresh = (counters.get(chunk.worker_id or "", 0), now)
        attempts[(chunk.id, chunk.attempt)] = watch.attempts.get((chunk.id, chunk.attempt), fresh)
    queued = {chunk.id for campaign in snapshot.campaigns for chunk in _chunks(campaign, ChunkState.QUEUED)}
    sent = {chunk: at for chunk, at in watch.sent.items() if chunk in queued}
    return Watch(sent, beats, attempts, entered(watch.passes, snapshot))


def note_sent(now: float, watch: Watch, chunks: list[int]) -> Watch:
    """The watch after the messages of these chunks went out."""
    return replace(watch, sent={**watch.sent, **dict.fromkeys(chunks, now)})


def note_queued(watch: Watch, snapshot: Snapshot, moves: Sequence[Move]) -> Watch:
    """The watch after these moves, in which campaigns took their turns."""
    queued = [move.chunk for move in moves if isinstance(move, Queue)]
    return replace(watch, passes=charged(watch.passes, snapshot, queued))


def _chunks(campaign: CampaignView, state: ChunkState) -> Iterator[ChunkView]:
    return (chunk for view in campaign.stages for chunk in view.active if chunk.state == state)


def _all_running(snapshot: Snapshot) -> Iterator[ChunkView]:
    return (chunk for campaign in snapshot.campaigns for chunk in _chunks(campaign, ChunkState.RUNNING))


def _expiries(now: float, snapshot: Snapshot, watch: Watch, limits: Mapping[StageName, Limits]) -> Iterator[Move]:
    owners = {beat.worker_id: beat for beat in snapshot.beats}
    for chunk in _all_running(snapshot):
        owner = owners.get(chunk.worker_id or "")
        if _expired(now, chunk, owner, watch, limits[chunk.stage]):
            crash = owner is not None and owner.exited == UNPLANNED
            yield Expire(chunk.id, chunk.attempt, crash and not _company(snapshot, chunk, owner), crash)


def _company(snapshot: Snapshot, chunk: ChunkView, owner: Beat | None) -> bool:
    """Whether the process held anything else, be it an attempt whose lease was over already."""
    held = {(other.id, other.attempt) for other in _all_running(snapshot) if other.worker_id == chunk.worker_id}
    return bool((held | set(owner.in_hand if owner else ())) - {(chunk.id, chunk.attempt)})


def _expired(now: float, chunk: ChunkView, owner: Beat | None, watch: Watch, limits: Limits) -> bool:
    attempt = (chunk.id, chunk.attempt)
    first_counter, since = watch.attempts.get(attempt, (0, now))
    if owner is None:
        return now - since > limits.lease
    if owner.exited is not None or now - since > limits.longest:
        return True
    counter, moved = watch.beats.get(owner.worker_id, (0, now))
    # Two beats after the claim was seen, the worker has had its chance to name the attempt.
    dropped = attempt not in owner.in_hand and counter >= first_counter + 2 and now - since > limits.lease
    return dropped or now - moved > limits.lease


def _running_moves(
    now: float, campaign: CampaignView, watch: Watch, limits: Mapping[StageName, Limits]
) -> Iterator[Move]:
    for view in campaign.stages:
        if not view.stage.closed:
            yield from _sendings(now, view, watch, limits[view.stage.name])
            yield from _growth(campaign, view, limits[view.stage.name])
    if all(view.stage.closed for view in campaign.stages):
        yield Finish(campaign.id)


def _sendings(now: float, view: StageView, watch: Watch, limits: Limits) -> Iterator[Move]:
    for chunk in view.active:
        if chunk.state == ChunkState.QUEUED and now - watch.sent.get(chunk.id, -limits.resend) >= limits.resend:
            yield Send(chunk.id)
    for chunk in view.waiting:
        if _given_up(chunk, limits):
            yield Halve(chunk.id) if chunk.size > 1 else Fail(chunk.id)


def _queueings(snapshot: Snapshot, stage: StageName, watch: Watch, limits: Limits) -> Iterator[Move]:
    """What there is room for, the campaigns in turn."""
    views = [(campaign, view) for campaign, view in running_views(snapshot, stage) if not view.stage.closed]
    heads = {
        campaign.id: [chunk.id for chunk in view.waiting if not _given_up(chunk, limits)] for campaign, view in views
    }
    priorities = {campaign.id: campaign.priority for campaign, _ in views}
    passes = {campaign: spent for (campaign, name), spent in watch.passes.items() if name == stage}
    room = limits.in_flight - len(under_way(snapshot, stage))
    return (Queue(chunk) for chunk in in_turn(heads, priorities, passes, room))


def _given_up(chunk: ChunkView, limits: Limits) -> bool:
    return chunk.errors >= limits.errors or chunk.crashes >= limits.crashes


def _growth(campaign: CampaignView, view: StageView, limits: Limits) -> Iterator[Move]:
    if not view.stage.exhausted:
        # The view has the first of those that wait, their count has all.
        waiting = max(len(view.waiting), view.counts.get(ChunkState.WAITING, 0))
        if waiting < limits.ahead and _growable(campaign, view.stage.name):
            yield Grow(campaign.id, view.stage.name, limits.ahead - waiting)
    elif not view.active and not view.waiting:
        yield Close(campaign.id, view.stage.name)


def _growable(campaign: CampaignView, stage: StageName) -> bool:
    upstream = next((view for view in campaign.stages if view.stage.name == UPSTREAM[stage]), None)
    if upstream is None or upstream.stage.closed:
        return True
    return streams(campaign.spec, stage) and upstream.undrained > 0


def _forgettings(now: float, snapshot: Snapshot, watch: Watch, limits: Mapping[StageName, Limits]) -> Iterator[Move]:
    holding = {chunk.worker_id for chunk in _all_running(snapshot)}
    patience = 10 * max(limit.lease for limit in limits.values())
    gone = tuple(
        beat.worker_id
        for beat in snapshot.beats
        if beat.worker_id not in holding
        and (beat.exited is not None or now - watch.beats.get(beat.worker_id, (0, now))[1] > patience)
    )
    if gone:
        yield Forget(gone)
