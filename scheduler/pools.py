"""The actor pools of one worker process, one for each model in use."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.errors import MachineFailed
from scheduler.flow import Role
from scheduler.processes import read_node
from scheduler.settings import Settings
from scheduler.spec import CampaignSpec, model_names
from scheduler.stored_models import StoredLoader
from workers.actors import ActorPlan, Loader, connect
from workers.cards import Card
from workers.models import find_card, load_model
from workers.pool import Pool, Use
from workers.probabilities import Distribution, distributions

NODE_SECONDS = 90.0  # in which a Ray node of our own starts, on a busy host


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a model: the method, how many items go in a batch, and the method's options.

    `own` names a predictor that the database keeps, in the place of the role's model.
    """

    role: Role
    method: str
    batch: int
    options: Mapping[str, object]
    own: str | None = None


class Pools:
    """Pools made when first asked, shared by all threads of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[tuple[str, str], Pool] = {}
        self._lock = threading.Lock()

    def pool(self, role: Role, name: str) -> Pool:
        """The pool of a model that every node has."""
        return self._pool(role, name, find_card(name).model_id, load_model)

    def stored_pool(self, role: Role, card: Card) -> Pool:
        """The pool of a model that the database keeps."""
        loader = StoredLoader(self._settings.database_url, card.model_id)
        return self._pool(role, card.name, card.model_id, loader)

    def _pool(self, role: Role, name: str, model_id: str, loader: Loader) -> Pool:
        with self._lock:
            if (name, model_id) not in self._pools:
                connect(node_address(self._settings))
                self._pools[(name, model_id)] = Pool(self._plan(name, model_id, loader), self._size(role))
            return self._pools[(name, model_id)]

    def _size(self, role: Role) -> int:
        return 1 if role in (Role.PROPOSER, Role.GENERATOR) else self._settings.actors

    def _plan(self, name: str, model_id: str, loader: Loader) -> ActorPlan:
        gpus = 0.0 if self._settings.device == "cpu" else 0.2
        # Our own node has no other users, so that only a shared one needs to count processors.
        cpus = 1.0 if self._settings.ray_address else 0.0
        return ActorPlan(name, model_id, self._settings.device, loader, cpus, gpus)


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one campaign behind one question, and what the questions took; `own` are those that the database
    keeps, by name."""

    pools: Pools
    spec: CampaignSpec
    seconds: float
    own: Mapping[str, Card] = field(default_factory=dict)
    use: Use = field(default_factory=Use)

    def ask(self, question: Ask, items: Sequence[object]) -> list[object]:
        """The answers in the order of the items, a Failure in the place of each item that has none."""
        if not items:
            return []
        pool = self._pool(question.role, question.own)
        return pool.run(question.method, items, question.options, question.batch, self.seconds, self.use)

    def warm(self, role: Role, own: str | None = None) -> None:
        """Let a model load while others are at work."""
        self._pool(role, own).warm()

    def distributions(self) -> dict[str, Distribution]:
        """By property how the truth lies about what is predicted from compositions, where a model's card tells that."""
        return distributions([find_card(self.spec.predict.model), *self.own.values()])

    def _pool(self, role: Role, own: str | None = None) -> Pool:
        if own is not None:
            return self.pools.stored_pool(role, self.own[own])
        return self.pools.pool(role, model_names(self.spec)[role])


def node_address(settings: Settings, seconds: float = NODE_SECONDS) -> str:
    """Where Ray is: as set, else where the node of our own says that it is, waited for; raises MachineFailed."""
    if settings.ray_address:
        return settings.ray_address
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if address := read_node(settings.node_file):
            return address
        time.sleep(0.05)
    raise MachineFailed(f"no Ray node came up within {seconds:g} s; its log is {settings.folder / 'ray.log'}")
