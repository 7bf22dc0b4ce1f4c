"""The crystal generator of the symmetry grammar: formulas or wishes in, crystals out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import gcd
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from pymatgen.core import Element

from workers.cards import Card
from workers.compositions import from_amounts
from workers.crystals import space_group
from workers.errors import CheckpointError
from workers.generator.answers import answer
from workers.generator.contents import fitting_units
from workers.generator.requests import CrystalRequest, Generated, Refusal, asked_formula, improper, unmade
from workers.generator.sampler import ATTEMPTS, Draw, Sample, Sampler
from workers.generator.symmetry.draft import Draft, Plan
from workers.generator.symmetry.network import GeneratorConfig, GeneratorModel
from workers.generator.symmetry.placement import places
from workers.generator.symmetry.proposal import Proposal
from workers.generator.symmetry.unfolding import unfold
from workers.generator.symmetry.vocabulary import ELEMENTS, MAX_ATOMS, SITES
from workers.models import Refused

PROPOSING = 1 << 62  # turns a request's seed into that of its formula's proposal
TOLERANCES = (0.1, 0.01)  # Å, at which an asked space group is looked for
ROWS = {"element_features": ELEMENTS, "site_features": SITES + 1, "radii": ELEMENTS}

Arrays = Mapping[str, npt.NDArray[np.generic]]


class CrystalGenerator:
    """Writes one crystal for each request; a request's answer does not depend on the others'."""

    def __init__(self, card: Card, arrays: Arrays, device: str = "cpu") -> None:
        self.card = card
        self.radii = _tensor(card, arrays, "radii").double().numpy()
        self.sampler = _sampler(card, _model(card, arrays), device)

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        """One answer for each request, in order."""
        begun = [self._begin(request) for request in self._with_formulas(requests)]
        samples = {i: one for i, one in enumerate(begun) if isinstance(one, Sample)}
        self._write(samples.values())
        answers = [_answer(one) for one in begun]
        while strays := [i for i, one in samples.items() if _strays(one, answers[i], requests[i].space_group)]:
            self._again({i: samples[i] for i in strays}, answers)
        return answers

    def propose(self, requests: Sequence[CrystalRequest]) -> list[str | Refused]:
        """A formula for each request, or why there is none; the crystals themselves are not written."""
        found = self._with_formulas(requests)
        return [Refused(str(one.flaw)) if isinstance(one, Generated) else str(one.formula) for one in found]

    def _again(self, samples: Mapping[int, Sample], answers: list[Generated]) -> None:
        """Draw some once more; where that comes to nothing the answer stays."""
        for sample in samples.values():
            sample.restart()
        self._write(samples.values())
        for i, sample in samples.items():
            again = _answer(sample)
            answers[i] = answers[i] if again.crystal is None else again

    def _write(self, samples: Iterable[Sample]) -> None:
        """Those of large formulas first: what is written last then ends together, and leaves few rows idle."""
        self.sampler.run(sorted(samples, key=lambda sample: -sum(n for _, n in cast(Draft, sample.draft).formula)))

    def _with_formulas(self, requests: Sequence[CrystalRequest]) -> list[CrystalRequest | Generated]:
        """The requests with the formulas that the model proposes where they have none, or why it proposes none."""
        found: list[CrystalRequest | Generated] = list(requests)
        samples: dict[int, Sample] = {}
        for i, request in enumerate(requests):
            if request.formula is None:
                refusal = improper(request) or _too_small(request)
                if refusal is None:
                    samples[i] = _proposal(request)
                else:
                    found[i] = refusal.answer()
        self.sampler.run(list(samples.values()))
        return [_with_formula(one, samples[i]) if i in samples else one for i, one in enumerate(found)]

    def _begin(self, request: CrystalRequest | Generated) -> Sample | Generated:
        if isinstance(request, Generated):
            return request
        plan = _plan(request)
        if isinstance(plan, Refusal):
            return plan.answer()
        return Sample(lambda: Draft(plan, self.radii), _draw(request))


def _draw(request: CrystalRequest) -> Draw:
    steered = bool(request.wanted) or request.space_group is not None
    return Draw(request.seed, request.temperature, request.top_p, request.guidance if steered else 1.0)


def _proposal(request: CrystalRequest) -> Sample:
    wanted, most = dict(request.wanted), max(min(request.max_atoms, MAX_ATOMS) // (request.units or 1), 1)
    draw = replace(_draw(request), seed=request.seed ^ PROPOSING)
    return Sample(lambda: Proposal(wanted, request.space_group, most, request.charge_balanced), draw)


def _too_small(request: CrystalRequest) -> Refusal | None:
    """Why no formula at all has a cell of what is asked for."""
    group, limit = request.space_group, min(request.max_atoms, MAX_ATOMS)
    if group is None or (smallest := min(places(group).sizes)) <= limit:
        return None
    return Refusal(f"a cell of space group {group} has at least {smallest} atoms; at most {limit} are asked for")


def _with_formula(request: CrystalRequest | Generated, sample: Sample) -> CrystalRequest | Generated:
    """The request with the formula that a sample proposes, or why it cannot be had."""
    if isinstance(request, Generated):
        return request
    if sample.flaw is not None:
        return unmade(sample.flaw)
    formula = cast(Proposal, sample.draft).formula
    amounts = {str(Element.from_Z(number).symbol): float(amount) for number, amount in formula}
    found = replace(request, formula=from_amounts(amounts).formula)
    plan = _plan(found)
    return unmade(plan.reason) if isinstance(plan, Refusal) else found


def _plan(request: CrystalRequest) -> Plan | Refusal:
    formula = asked_formula(request, MAX_ATOMS)
    if isinstance(formula, Refusal):
        return formula
    units = fitting_units(request, [count for _, count in formula], MAX_ATOMS)
    if isinstance(units, Refusal):
        return units
    part = gcd(*(count for _, count in formula))  # two in O2 and its like: known crystals are told as O
    formula, units = [(number, count // part) for number, count in formula], tuple(part * n for n in units)
    return Plan(formula, units, request.space_group, dict(request.wanted))


def _answer(sample: Sample | Generated) -> Generated:
    if isinstance(sample, Generated):
        return sample
    return answer(sample, lambda: unfold(cast(Draft, sample.draft).crystal()))


def _strays(sample: Sample, made: Generated, group: int | None) -> bool:
    """Whether atoms on places of more symmetry make another group of it, and it can be drawn again."""
    if group is None or made.crystal is None or sample.attempt + 1 >= ATTEMPTS:
        return False
    return all(space_group(made.crystal, tolerance) != group for tolerance in TOLERANCES)


def _model(card: Card, arrays: Arrays) -> GeneratorModel:
    features = [_tensor(card, arrays, name) for name in ("element_features", "site_features")]
    try:
        config = GeneratorConfig(**cast(dict[str, int], card.config))
        model = GeneratorModel(config, *features)
    except (IndexError, TypeError, RuntimeError) as exc:
        raise CheckpointError(card.name, str(exc).splitlines()[0]) from exc
    weights = {name: _tensor(card, arrays, name) for name, _ in model.named_parameters()}
    if foreign := sorted(set(arrays) - set(weights) - set(ROWS)):
        raise CheckpointError(card.name, f"array {foreign[0]!r} has no place in a model of this size")
    for name, parameter in model.named_parameters():
        found, wanted = tuple(weights[name].shape), tuple(parameter.shape)
        if found != wanted:
            raise CheckpointError(card.name, f"array {name!r} has shape {found}; {wanted} is expected")
    model.load_state_dict(weights, strict=False)
    return model.eval()


def _tensor(card: Card, arrays: Arrays, name: str) -> torch.Tensor:
    """One array of a checkpoint; raises CheckpointError where it is missing, too short or not finite."""
    if name not in arrays:
        raise CheckpointError(card.name, f"no array {name!r}")
    array = torch.from_numpy(np.asarray(arrays[name], dtype=np.float32))
    if len(array) != ROWS.get(name, len(array)):
        raise CheckpointError(card.name, f"array {name!r} has {len(array)} rows; {ROWS[name]} are expected")
    if not torch.isfinite(array).all():
        raise CheckpointError(card.name, f"array {name!r} has numbers that are not finite")
    return array


def _sampler(card: Card, model: GeneratorModel, device: str) -> Sampler:
    try:
        return Sampler(model.to(device), card.tile, device)
    except (AssertionError, NotImplementedError, RuntimeError, ValueError) as exc:  # torch knows them all
        raise CheckpointError(card.name, f"does not run on {device!r}: {str(exc).splitlines()[0]}") from exc
