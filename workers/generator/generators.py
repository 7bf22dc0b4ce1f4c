"""Any crystal generator: what it can be asked, how it is loaded by name, and the judge of what it makes."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from workers.cards import Card
from workers.errors import UserError
from workers.generator.requests import CrystalRequest, Generated
from workers.models import Refused, load_model

if TYPE_CHECKING:  # whoever trains a generator must not load CHGNet
    from workers.structure_models import StructureModel

JUDGE = "structure-predictor"


@runtime_checkable
class Generator(Protocol):
    """Writes one crystal for each request; a request's answer does not depend on the others'."""

    card: Card

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        """One answer for each request, in order."""


@runtime_checkable
class Proposer(Protocol):
    """Proposes a formula for each request; a request's answer does not depend on the others'."""

    def propose(self, requests: Sequence[CrystalRequest]) -> list[str | Refused]:
        """A canonical formula for each request, or why there is none, in order."""


def load_generator(name: str, device: str) -> Generator:
    """The generator of a checkpoint by name or folder; raises CheckpointError, or UserError for another model."""
    model = load_model(name, device)
    if not isinstance(model, Generator):
        raise UserError(f"model {name!r}: it makes no crystals; crystal-generator does")
    return model


@cache
def judge(device: str) -> "StructureModel":
    """The shipped structure predictor with its universal potential, loaded once a process."""
    return cast("StructureModel", load_model(JUDGE, device))
