"""The generator that writes crystals atom by atom: formulas or wishes in, crystals out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from workers.cards import Card
from workers.errors import CheckpointError
from workers.generator.answers import answer
from workers.generator.conditions import BY_NAME
from workers.generator.contents import fitting_units
from workers.generator.materium.draft import Book, Draft, Plan, number_values
from workers.generator.materium.network import MateriumModel, NetworkConfig, quickened
from workers.generator.materium.owed import Formula, Wish, can_be_neutral, species_table
from workers.generator.materium.scales import on_scale
from workers.generator.materium.tokens import ORDERS, Vocabulary, own_vocabulary, shared_vocabulary
from workers.generator.requests import CrystalRequest, Generated, Refusal, asked_formula, improper
from workers.generator.sampler import Draw, Sample, Sampler, stream_of
from workers.generator.units import UnitCounts
from workers.models import Refused
from workers.symbols import SYMBOLS

UNITS_STREAM = 1 << 32  # attempt number whose stream chooses the formula units

Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model's tokens are to be read."""

    order: str
    most_atoms: int
    groups: int = 230  # the last space group that the model knows
    steered: Sequence[str] = tuple(BY_NAME)  # conditions that the model knows
    original: bool = False  # Materium's own codec, scales and prompt
    bins: int = 0
    ranges: Mapping[str, Sequence[float]] = field(default_factory=dict)  # Å and degrees

    def vocabulary(self, species: npt.NDArray[np.generic]) -> Vocabulary:
        return shared_vocabulary(species, self.bins, self.ranges) if self.original else own_vocabulary(species)


class MateriumGenerator:
    """Writes one crystal for each request; a request's answer does not depend on the others'."""

    def __init__(self, card: Card, arrays: Arrays, device: str = "cpu") -> None:
        self.card = card
        self.layout, model = load_network(card, arrays)
        vocabulary = model.vocabulary
        radii = np.asarray(arrays["radii"], dtype=np.float64)
        table = species_table(vocabulary)
        self.book = Book(vocabulary, table, radii, number_values(vocabulary), not self.layout.original)
        self.units = UnitCounts(arrays) if "units" in arrays else None
        # imported weights stay as they are, so that their logits are those of the original
        halves = device == "cpu" and not self.layout.original and torch.cpu.get_capabilities().get("avx512_bf16", False)
        self.sampler = Sampler(quickened(model) if halves else model.to(device), card.tile, device)

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        """One answer for each request, in order."""
        begun = [self._begin(request) for request in requests]
        self.sampler.run([sample for sample in begun if isinstance(sample, Sample)])
        return [_answer(sample) for sample in begun]

    def propose(self, requests: Sequence[CrystalRequest]) -> list[str | Refused]:
        """A formula for each request, or why there is none: this grammar tells it only by writing the crystal."""
        return [
            Refused(str(one.flaw)) if one.crystal is None else one.crystal.formula for one in self.generate(requests)
        ]

    def _begin(self, request: CrystalRequest) -> Sample | Refusal:
        refusal = improper(request) or self._strange(request)
        if refusal is not None:
            return refusal
        plan = self._open(request) if request.formula is None else self._given(request)
        if isinstance(plan, Refusal):
            return plan
        steered = bool(plan.wanted) or (self.layout.original and bool(plan.formula))
        guidance = request.guidance if steered else 1.0
        draw = Draw(request.seed, request.temperature, request.top_p, guidance)
        return Sample(lambda: Draft(plan, self.book), draw)

    def _strange(self, request: CrystalRequest) -> Refusal | None:
        """What is well known but not to this model."""
        group, known = request.space_group, self.layout.steered
        if group is not None and group > self.layout.groups:
            return Refusal(f"space group {group} is unknown to this model; 1 to {self.layout.groups} are known")
        strange = [name for name, _ in request.wanted if name not in known]
        if not strange:
            return None
        return Refusal(f"condition {strange[0]} is unknown to this model; {', '.join(known)} are known")

    def _open(self, request: CrystalRequest) -> Plan:
        """A plan whose formula the model chooses."""
        most = min(request.max_atoms, self.layout.most_atoms)
        wish = Wish(None, (), most, self.layout.order, request.charge_balanced)
        return Plan(wish, (), self._wanted(request))

    def _given(self, request: CrystalRequest) -> Plan | Refusal:
        found = asked_formula(request, self.layout.most_atoms)
        if isinstance(found, Refusal):
            return found
        formula = tuple(found)
        if refusal := self._unknown(request, formula):
            return refusal
        units = self._units(request, formula)
        if isinstance(units, Refusal):
            return units
        wish = Wish(formula, units, self.layout.most_atoms, self.layout.order, request.charge_balanced)
        shown = formula if self.layout.original else tuple((number, units[0] * count) for number, count in formula)
        return Plan(wish, shown, self._wanted(request))

    def _unknown(self, request: CrystalRequest, formula: Formula) -> Refusal | None:
        strange = [SYMBOLS[number - 1] for number, _ in formula if number not in self.book.species.places]
        if strange:
            return Refusal(f"{' '.join(strange)} is unknown to this model")
        if request.charge_balanced and not can_be_neutral(self.book.species, formula):
            return Refusal(f"no oxidation states of {request.formula} add up to zero")
        return None

    def _wanted(self, request: CrystalRequest) -> Mapping[Any, float]:
        return on_scale(request.wanted, request.space_group, self.layout.original)

    def _units(self, request: CrystalRequest, formula: Formula) -> tuple[int, ...] | Refusal:
        """The numbers of formula units that the model may choose from: one, where its training says how many."""
        amounts = [count for _, count in formula]
        fitting = fitting_units(request, amounts, self.layout.most_atoms)
        if isinstance(fitting, Refusal):
            return fitting
        if self.units is None or len(fitting) == 1:
            return fitting
        draw = stream_of(request.seed, UNITS_STREAM).random()
        return (self.units.choose(amounts, fitting, request.temperature, draw),)


def _answer(sample: Sample | Refusal) -> Generated:
    if isinstance(sample, Refusal):
        return sample.answer()
    return answer(sample, cast(Draft, sample.draft).crystal)


def load_network(card: Card, arrays: Arrays) -> tuple[Layout, MateriumModel]:
    """The layout and the network of a checkpoint; raises CheckpointError."""

    def tensor(name: str) -> torch.Tensor:
        if name not in arrays:
            raise CheckpointError(card.name, f"no array {name!r}")
        array = torch.from_numpy(np.asarray(arrays[name], dtype=np.float32))
        if not torch.isfinite(array).all():
            raise CheckpointError(card.name, f"array {name!r} has numbers that are not finite")
        return array

    for name in ("species", "radii"):
        tensor(name)
    try:
        layout = Layout(**cast(dict[str, Any], card.config["layout"]))
        config = NetworkConfig(**cast(dict[str, Any], card.config["network"]))
        model = MateriumModel(config, layout.vocabulary(arrays["species"]))
        model.load_state_dict({name: tensor(name) for name, _ in model.named_parameters()}, strict=False)
    except (KeyError, TypeError, RuntimeError) as exc:
        raise CheckpointError(card.name, str(exc).splitlines()[0]) from exc
    if layout.order not in ORDERS:
        raise CheckpointError(card.name, f"order {layout.order!r}; {', '.join(ORDERS)} are known")
    return layout, model.eval()
