"""The crystal generator: formulas in, crystals out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from pymatgen.core import Element

from workers.cards import Card
from workers.compositions import Composition, parse_formula
from workers.crystals import flaw
from workers.errors import CheckpointError, InvalidFormula
from workers.generator.draft import Draft
from workers.generator.grammar import MAX_ATOMS
from workers.generator.model import GeneratorConfig, GeneratorModel
from workers.generator.placement import holds
from workers.generator.requests import CrystalRequest, Generated
from workers.generator.sampler import PROMPT, Sample, Sampler, stream_of
from workers.generator.unfolding import unfold
from workers.generator.units import UnitCounts
from workers.spacegroups import GROUPS

UNITS_STREAM = 1 << 32  # attempt number whose stream chooses the units

Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a request cannot be met."""

    reason: str


class CrystalGenerator:
    """Writes one crystal for each request; a request's answer does not depend on the others'."""

    def __init__(self, card: Card, arrays: Arrays, device: str = "cpu") -> None:
        if device != "cpu":
            raise CheckpointError(card.name, f"runs on cpu, not on {device}")
        self.card = card
        self.radii = np.asarray(arrays["radii"], dtype=np.float64)
        self.units = UnitCounts(arrays)
        self.sampler = Sampler(_model(card, arrays), card.tile)

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        """One answer for each request, in order."""
        begun = [self._begin(request) for request in requests]
        self.sampler.run([sample for sample in begun if isinstance(sample, Sample)])
        return [_answer(sample) for sample in begun]

    def _begin(self, request: CrystalRequest) -> Sample | _Refusal:
        formula = self._formula(request)
        if isinstance(formula, _Refusal):
            return formula
        return Sample(lambda: Draft(formula, self.radii, request.space_group), request.seed, request.temperature)

    def _formula(self, request: CrystalRequest) -> list[tuple[int, int]] | _Refusal:
        """(atomic number, count in the primitive cell), heaviest first, or why there is none."""
        try:
            composition = parse_formula(request.formula)
        except InvalidFormula as exc:
            return _Refusal(str(exc))
        refusal = _refused(composition, request)
        if refusal is not None:
            return refusal
        counts = _counts(composition)
        atoms = sum(count for _, count in counts)
        limit = min(request.max_atoms, MAX_ATOMS)
        wanted = [request.units] if request.units else list(range(1, limit // atoms + 1))
        fitting = [n for n in wanted if self._fits([n * count for _, count in counts], request.space_group)]
        if not fitting:
            units = " or ".join(map(str, wanted))
            where = f" space group {request.space_group}" if request.space_group else f" {limit} atoms"
            return _Refusal(f"{units} formula units of {composition.formula} do not fit into{where}")
        draw = stream_of(request.seed, UNITS_STREAM).random()
        chosen = self.units.choose([count for _, count in counts], fitting, request.temperature, draw)
        return [(number, chosen * count) for number, count in counts]

    @staticmethod
    def _fits(counts: list[int], space_group: int | None) -> bool:
        return sum(counts) <= MAX_ATOMS and (space_group is None or holds(space_group, tuple(counts)))


def _answer(sample: Sample | _Refusal) -> Generated:
    if isinstance(sample, _Refusal):
        return Generated(None, -np.inf, sample.reason)
    if sample.flaw is not None:
        return Generated(None, -np.inf, sample.flaw)
    crystal = unfold(sample.draft.crystal())
    found = flaw(crystal)
    return Generated(None, -np.inf, found) if found else Generated(crystal, sample.log_likelihood)


def _counts(composition: Composition) -> list[tuple[int, int]]:
    pairs = zip(composition.elements, composition.amounts, strict=True)
    return sorted(((int(Element(symbol).Z), round(amount)) for symbol, amount in pairs), reverse=True)


def _refused(composition: Composition, request: CrystalRequest) -> _Refusal | None:
    limit = min(request.max_atoms, MAX_ATOMS)
    if not composition.integral:
        return _Refusal(f"{composition.formula} has fractional amounts; a crystal needs whole numbers of atoms")
    name, atoms, elements = composition.formula, composition.atoms, len(composition.elements)
    if atoms > limit:
        return _Refusal(f"{name} has {atoms:g} atoms a formula unit; at most {limit} are generated")
    if elements > PROMPT:
        return _Refusal(f"{name} has {elements} elements; at most {PROMPT} are generated")
    if request.space_group is not None and not 1 <= request.space_group <= GROUPS:
        return _Refusal(f"space group {request.space_group} does not exist; 1 to {GROUPS} do")
    return None


def _model(card: Card, arrays: Arrays) -> GeneratorModel:
    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(arrays[name], dtype=np.float32))

    config = GeneratorConfig(**cast(dict[str, int], card.config))
    model = GeneratorModel(config, tensor("element_features"), tensor("site_features"))
    weights = {name: tensor(name) for name, _ in model.named_parameters()}
    model.load_state_dict(weights, strict=False)
    return model.eval()
