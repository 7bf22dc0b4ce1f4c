"""A pool of model actors that survives their deaths and finds the item that causes them."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, RayError, WorkerCrashedError

from workers.actors import ADMITTED, ActorPlan, Answer, Call, ClusterLost, Handle, Outcome, attach
from workers.errors import SluiceError

KILLS = 2  # deaths that convict a batch
REST = 0.02  # seconds before a busy actor is asked again
LOOK = 1.0  # seconds between looks at the clock while nothing is ready
PATIENCE = 60.0  # seconds in which a living cluster answers a ping, a restarting actor included
Reply = TypeVar("Reply")


class ModelUnavailable(SluiceError):
    """model {0} cannot be loaded: {1}"""


class PoolTimeout(SluiceError):
    """model {0} had no answer within {1:g} s"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one item has no result."""

    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive items by their places in the request; `kills` actors died of it."""

    places: range
    kills: int = 0


@dataclass(frozen=True, slots=True)
class Flight:
    """A batch on its way through one actor, since a moment in seconds."""

    batch: Batch
    actor: int
    since: float


@dataclass(slots=True)
class Use:
    """What was taken of the actors: seconds computed, seconds for which they had waited, batches, items in them."""

    seconds: float = 0.0
    idle: float = 0.0
    batches: int = 0
    items: int = 0

    def add(self, answer: Answer, items: int) -> None:
        """Count a batch that an actor computed."""
        self.seconds += answer.seconds
        self.idle += answer.idle
        self.batches += 1
        self.items += items


@dataclass(slots=True)
class Request:
    """One call of `run`: what is asked, what is still to do, what is under way, what has come, what it took."""

    method: str
    items: Sequence[object]
    options: Mapping[str, object]
    todo: deque[Batch]
    results: list[object]
    use: Use
    flights: dict[ray.ObjectRef[Answer], Flight] = field(default_factory=dict)
    rests: dict[int, float] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)


class Pool:
    """Equal actors of one model; any number of threads and processes may share them.

    Those that find no place, as after the loss of a node, get no batch: the others do all the work.
    """

    def __init__(self, plan: ActorPlan, size: int, batch_seconds: float = 600.0) -> None:
        self._plan = plan
        self._size = size
        self._batch_seconds = batch_seconds
        self._handles: dict[int, Handle] = {}
        self._greetings: dict[int, ray.ObjectRef[bool] | None] = {}  # None once it was answered
        self._lock = threading.Lock()
        self._warmed = False

    def warm(self) -> None:
        """Start the actors and let them load, without waiting; later calls do nothing."""
        with self._lock:
            warmed, self._warmed = self._warmed, True
        for index in range(0 if warmed else self._size):
            self._handle(index).warm.remote()

    def run(
        self,
        method: str,
        items: Sequence[object],
        options: Mapping[str, object],
        batch: int,
        seconds: float,
        use: Use | None = None,
    ) -> list[object]:
        """The model's results in the order of the items, a Failure in the place of an item that has none.

        What it takes of the actors is added to `use`.
        Raises ClusterLost, ModelUnavailable, and PoolTimeout after that many seconds.
        """
        todo = deque(Batch(range(start, min(start + batch, len(items)))) for start in range(0, len(items), batch))
        request = Request(method, items, options, todo, [None] * len(items), use or Use())
        ends = time.monotonic() + seconds
        try:
            while request.todo or request.flights:
                if time.monotonic() > ends:
                    raise PoolTimeout(self._plan.model, seconds)
                self._launch(request)
                self._collect(request)
        except RayError as exc:
            raise ClusterLost(f"{type(exc).__name__}: {exc}") from exc
        return request.results

    def _launch(self, request: Request) -> None:
        for index in range(self._size):
            while request.todo and self._has_room(request, index, request.todo[0]):
                self._start(request, index, request.todo.popleft())

    def _has_room(self, request: Request, index: int, batch: Batch) -> bool:
        own = sum(flight.actor == index for flight in request.flights.values())
        rested = time.monotonic() >= request.rests.get(index, 0.0)
        return own < (1 if batch.kills else ADMITTED) and rested and self._is_up(request, index)

    def _is_up(self, request: Request, index: int) -> bool:
        """Whether the actor has answered since it was last seen to die."""
        self._handle(index)
        greeting = self._greetings.get(index)
        if greeting is None:
            return index in self._handles
        if not ray.wait([greeting], timeout=0)[0]:
            return False
        if self._answer(greeting) is None:
            self._drop(index)
            request.rests[index] = time.monotonic() + LOOK
            return False
        with self._lock:
            if self._greetings.get(index) is greeting:
                self._greetings[index] = None
        return True

    def _start(self, request: Request, index: int, batch: Batch) -> None:
        items = [request.items[place] for place in batch.places]
        # A batch that was there when an actor died goes alone from now on, so that the next death convicts.
        call = Call(request.method, items, request.options, alone=batch.kills > 0)
        ref: ray.ObjectRef[Answer] = self._handle(index).run.remote(call)
        request.heard = time.monotonic()
        request.flights[ref] = Flight(batch, index, request.heard)

    def _collect(self, request: Request) -> None:
        if not request.flights:
            if time.monotonic() - request.heard > 2 * PATIENCE and not self._any_up():
                raise ClusterLost(f"no actor of {self._plan.model} started within {2 * PATIENCE:g} s")
            time.sleep(REST)
            return
        ready, _ = ray.wait(list(request.flights), timeout=REST if request.todo else LOOK)
        for ref in ready:
            self._settle(request, request.flights.pop(ref), self._answer(ref))
        if not ready:
            self._check_overdue(request)

    def _answer(self, ref: "ray.ObjectRef[Reply]") -> Reply | None:
        """The actor's answer, None when the actor died."""
        try:
            return ray.get(ref, timeout=PATIENCE)
        except (RayActorError, WorkerCrashedError, OutOfMemoryError):
            return None

    def _settle(self, request: Request, flight: Flight, answer: Answer | None) -> None:
        batch = flight.batch
        if answer is None:
            self._drop(flight.actor)
            request.todo.extendleft(_after_death(request, batch))
            return
        if answer.outcome in (Outcome.BUSY, Outcome.DELAYED):
            request.rests[flight.actor] = time.monotonic() + (REST if answer.outcome == Outcome.BUSY else LOOK)
            request.todo.appendleft(batch)
            return
        request.use.add(answer, len(batch.places))
        if answer.outcome == Outcome.UNLOADABLE:
            raise ModelUnavailable(self._plan.model, answer.reason)
        if answer.outcome == Outcome.RAISED:
            request.todo.extendleft(_without_culprit(request, batch, answer.reason))
        else:
            request.results[batch.places.start : batch.places.stop] = answer.results

    def _check_overdue(self, request: Request) -> None:
        now = time.monotonic()
        for ref, flight in list(request.flights.items()):
            waited = now - flight.since
            if waited > self._batch_seconds:
                ray.kill(self._handle(flight.actor), no_restart=False)
                request.flights[ref] = replace(flight, since=now)
            elif waited > PATIENCE and int(waited / LOOK) % int(PATIENCE / LOOK) == 0:
                self._ping(flight.actor)

    def _ping(self, index: int) -> None:
        try:
            ray.get(self._handle(index).ping.remote(), timeout=PATIENCE)
        except GetTimeoutError as exc:
            raise ClusterLost(f"no ping from {self._plan.model} within {PATIENCE:g} s") from exc
        except RayError:
            return  # the actor is gone, and so will be the answer that is waited for

    def _handle(self, index: int) -> Handle:
        with self._lock:
            if index not in self._handles:
                self._handles[index] = attach(self._plan, index)
                self._greetings[index] = self._handles[index].ping.remote()
            return self._handles[index]

    def _any_up(self) -> bool:
        with self._lock:
            return None in self._greetings.values()

    def _drop(self, index: int) -> None:
        with self._lock:
            self._handles.pop(index, None)
            self._greetings.pop(index, None)


def _after_death(request: Request, batch: Batch) -> Iterator[Batch]:
    kills = batch.kills + 1
    if kills < KILLS or (len(batch.places) == 1 and kills == KILLS):
        yield Batch(batch.places, kills)
    elif len(batch.places) > 1:
        # Each half is a suspect that one more death convicts.
        yield from (Batch(places, 1) for places in _halves(batch.places))
    else:
        request.results[batch.places.start] = Failure(f"its computation ended the model's process {kills} times")


def _without_culprit(request: Request, batch: Batch, reason: str) -> Iterator[Batch]:
    if len(batch.places) > 1:
        yield from (Batch(places, batch.kills) for places in _halves(batch.places))
    else:
        request.results[batch.places.start] = Failure(reason)


def _halves(places: range) -> tuple[range, range]:
    middle = len(places) // 2
    return places[:middle], places[middle:]
