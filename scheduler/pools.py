"""The actor pools of one worker process, one for each model in use."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import MachineFailed
from scheduler.flow import Role
from scheduler.settings import Settings
from scheduler.spec import CampaignSpec, model_names
from workers.actors import ActorPlan, connect
from workers.models import find_card, load_model
from workers.pool import Pool

NODE_SECONDS = 90.0  # in which a Ray node of our own starts, on a busy host


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a model: the method, how many items go in a batch, and the method's options."""

    role: Role
    method: str
    batch: int
    options: Mapping[str, object]


class Pools:
    """Pools made when first asked, shared by all threads of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[tuple[str, str], Pool] = {}
        self._lock = threading.Lock()

    def pool(self, role: Role, name: str) -> Pool:
        """The pool of a model."""
        model_id = find_card(name).model_id
        with self._lock:
            if (name, model_id) not in self._pools:
                connect(node_address(self._settings))
                self._pools[(name, model_id)] = Pool(self._plan(name, model_id), self._size(role))
            return self._pools[(name, model_id)]

    def _size(self, role: Role) -> int:
        return 1 if role == Role.GENERATOR else self._settings.actors

    def _plan(self, name: str, model_id: str) -> ActorPlan:
        gpus = 0.0 if self._settings.device == "cpu" else 0.2
        # Our own node has no other users, so that only a shared one needs to count processors.
        cpus = 1.0 if self._settings.ray_address else 0.0
        return ActorPlan(name, model_id, self._settings.device, load_model, cpus, gpus)


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one campaign behind one question."""

    pools: Pools
    spec: CampaignSpec
    seconds: float

    def ask(self, question: Ask, items: Sequence[object]) -> list[object]:
        """The answers in the order of the items, a Failure in the place of each item that has none."""
        if not items:
            return []
        pool = self._pool(question.role)
        return pool.run(question.method, items, question.options, question.batch, self.seconds)

    def warm(self, role: Role) -> None:
        """Let a model load while others are at work."""
        self._pool(role).warm()

    def _pool(self, role: Role) -> Pool:
        return self.pools.pool(role, model_names(self.spec)[role])


def node_address(settings: Settings, seconds: float = NODE_SECONDS) -> str:
    """Where Ray is: as set, else where the node of our own says that it is, waited for; raises MachineFailed."""
    if settings.ray_address:
        return settings.ray_address
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if address := _read_address(settings.node_file):
            return address
        time.sleep(0.05)
    raise MachineFailed(f"no Ray node came up within {seconds:g} s; its log is {settings.folder / 'ray.log'}")


def _read_address(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text())["address"])
    except (OSError, ValueError, KeyError):
        return None
