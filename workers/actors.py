"""Ray actors, each of which holds one model and computes one batch at a time."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

import ray

from workers.errors import SluiceError

NAMESPACE = "sluice"
ADMITTED = 2  # one batch being computed, one at hand
CALLS = 16  # threads that answer callers; those beyond the admitted are told at once that it is busy

Model = Any  # whatever the loader makes; its batch methods are looked up by name
Loader = Callable[[str, str], Model]
Handle = Any  # Ray gives actors their methods at run time
_connecting = threading.Lock()


class ClusterLost(SluiceError):
    """Ray does not answer: {0}"""


class LoadDelayed(SluiceError):
    """what the model is loaded from does not answer: {0}"""


class Outcome(StrEnum):
    """How a call ended."""

    DONE = "done"
    BUSY = "busy"
    RAISED = "raised"
    UNLOADABLE = "unloadable"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class Call:
    """A batch for a model: the method, its items and options; `alone` asks for the actor without other batches."""

    method: str
    items: Sequence[object]
    options: Mapping[str, object]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call: results aligned with its items, or the reason why there are none.

    Also how many seconds it was computed, and how many the actor had waited for it with its model in memory.
    """

    outcome: Outcome
    results: Sequence[object] = ()
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)
    idle: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """Which model actors hold, what each takes of a node, and after how many idle seconds they end."""

    model: str
    model_id: str
    device: str
    loader: Loader
    cpus: float = 0.0
    gpus: float = 0.0
    idle_seconds: float = 120.0


class ModelHost:
    """One model in memory, loaded when first needed, behind one computing thread."""

    def __init__(self, plan: ActorPlan) -> None:
        self._plan = plan
        self._model: Model | None = None
        self._line = ThreadPoolExecutor(1)  # torch keeps thread counts by thread: one thread, one arithmetic
        self._lock = threading.Lock()
        self._inside = 0
        self._sole = False
        self._used = self._free = time.monotonic()
        threading.Thread(target=self._end_when_idle, daemon=True).start()

    def run(self, call: Call) -> Answer:
        """Compute a batch, or say at once that there is no room for it."""
        if not self._enter(call.alone):
            return Answer(Outcome.BUSY)
        try:
            return self._line.submit(self._timed, call).result()
        finally:
            self._leave()

    def warm(self) -> Answer:
        """Load the model ahead of its first batch."""
        return self._line.submit(self._load).result() or Answer(Outcome.DONE)

    def ping(self) -> bool:
        """Answer, whatever is being computed."""
        return True

    def _enter(self, alone: bool) -> bool:
        with self._lock:
            if self._sole or self._inside >= (1 if alone else ADMITTED):
                return False
            self._inside += 1
            self._sole = alone
            return True

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1
            self._sole = False
            self._used = time.monotonic()

    def _load(self) -> Answer | None:
        if self._model is None:
            try:
                self._model = self._plan.loader(self._plan.model, self._plan.device)
                self._free = time.monotonic()
            except LoadDelayed as exc:
                return Answer(Outcome.DELAYED, reason=_in_words(exc))
            except Exception as exc:
                return Answer(Outcome.UNLOADABLE, reason=_in_words(exc))
        return None

    def _timed(self, call: Call) -> Answer:
        if failed := self._load():
            return failed
        began, idle = time.monotonic(), time.monotonic() - self._free
        answer = self._compute(call)
        self._free = time.monotonic()
        return replace(answer, seconds=self._free - began, idle=idle)

    def _compute(self, call: Call) -> Answer:
        try:
            results = getattr(self._model, call.method)(call.items, **call.options)
        except Exception as exc:
            return Answer(Outcome.RAISED, reason=_in_words(exc))
        if len(results) != len(call.items):
            return Answer(Outcome.RAISED, reason=f"{len(results)} results for {len(call.items)} items")
        return Answer(Outcome.DONE, results)

    def _end_when_idle(self) -> None:
        while True:
            time.sleep(self._plan.idle_seconds / 4)
            with self._lock:
                idle = not self._inside and time.monotonic() - self._used > self._plan.idle_seconds
            if idle:
                ray.kill(ray.get_runtime_context().current_actor)


def connect(address: str | None) -> None:
    """Join a Ray cluster once per process, for two threads that join at once fail; raises ClusterLost."""
    with _connecting:
        if ray.is_initialized():
            return
        try:
            ray.init(
                address=address,
                namespace=NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError) as exc:
            raise ClusterLost(f"{address}: {exc}") from exc


def attach(plan: ActorPlan, index: int) -> Handle:
    """The actor with this model and number, started if there is none."""
    options = {
        "name": f"{plan.model}-{plan.model_id[:16]}-{plan.device}-{index}",
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": 0,
        "max_concurrency": CALLS,
        "num_cpus": plan.cpus,
        "num_gpus": plan.gpus,
    }
    return cast(Handle, ray.remote(ModelHost).options(**options).remote(plan))


def _in_words(exc: Exception) -> str:
    text = str(exc).strip()
    return f"{type(exc).__name__}: {text.splitlines()[0]}" if text else type(exc).__name__
