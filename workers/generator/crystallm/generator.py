"""The CrystaLLM generator: formulas in, crystals out, by way of CIF text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from pymatgen.core import Element

from workers.cards import Card
from workers.crystals import Crystal
from workers.errors import CheckpointError, CrystalError
from workers.generator.answers import answer
from workers.generator.contents import fitting_units
from workers.generator.crystallm.cells import CellCounts, Content
from workers.generator.crystallm.draft import CifDraft, Plan, opening
from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.parsing import read
from workers.generator.crystallm.tokens import MARK, elements, numbers
from workers.generator.requests import CrystalRequest, Generated, Refusal, asked_formula
from workers.generator.sampler import Draw, Sample, Sampler, stream_of
from workers.generator.symmetry.vocabulary import MAX_ATOMS
from workers.spacegroups import centring, symbol

CELL_STREAM = 1 << 32  # attempt number whose stream chooses the cell's content
CENTRINGS = (1, 2, 3, 4)
LENGTHS = (320, 640, 1280, 2560)  # tokens after the prompt; what is cut at one is written again at the next

Arrays = Mapping[str, npt.NDArray[np.generic]]


class CrystaLLMGenerator:
    """Writes one crystal for each request; a request's answer does not depend on the others'."""

    def __init__(self, card: Card, arrays: Arrays, device: str = "cpu") -> None:
        self.card = card
        self.cells = CellCounts(arrays)
        network = _network(card, arrays)
        self.context = network.config.context
        self.sampler = Sampler(network.to(device), card.tile, device)

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        """One answer for each request, in order."""
        plans = [self._plan(request) for request in requests]
        samples: dict[int, Sample] = {}
        waiting = [index for index, plan in enumerate(plans) if isinstance(plan, Plan)]
        for tokens in LENGTHS:
            for index in waiting:
                plan = replace(cast(Plan, plans[index]), tokens=min(tokens, self.context))
                samples[index] = Sample(partial(CifDraft, plan), _draw(requests[index]))
            self.sampler.run([samples[index] for index in waiting])
            waiting = [index for index in waiting if cast(CifDraft, samples[index].draft).cut]
        return [
            plan.answer() if isinstance(plan, Refusal) else _answer(samples[index], plan)
            for index, plan in enumerate(plans)
        ]

    def _plan(self, request: CrystalRequest) -> Plan | Refusal:
        reason = _refused(request)
        found = Refusal(reason) if reason else asked_formula(request, MAX_ATOMS)
        if isinstance(found, Refusal):
            return found
        formula = [(str(Element.from_Z(number).symbol), count) for number, count in found]
        unknown = [element for element, _ in formula if element not in elements()]
        if unknown:
            return Refusal(f"CrystaLLM has no word for {' and '.join(unknown)}; it knows {len(elements())} elements")
        amounts = [count for _, count in formula]
        fitting = _fitting(request, amounts)
        if isinstance(fitting, Refusal):
            return fitting
        draw = stream_of(request.seed, CELL_STREAM).random()
        units, cells = self.cells.choose(amounts, fitting, request.temperature, draw)
        counts = {name: count * units * cells for name, count in formula}
        if len(opening(counts)) >= self.context:
            return Refusal(f"the elements of {request.formula} take more than the {self.context} tokens that are read")
        return Plan(counts, cells, request.space_group, 0, self.context)


def _draw(request: CrystalRequest) -> Draw:
    return Draw(request.seed, request.temperature, request.top_p)


def _refused(request: CrystalRequest) -> str | None:
    """Why the text cannot say what is asked for."""
    if request.formula is None:
        return "no formula: CrystaLLM writes crystals of a given formula; crystal-generator proposes formulas"
    if request.wanted:
        names = " and ".join(name for name, _ in request.wanted)
        return f"{names}: CrystaLLM takes a formula and a space group; crystal-generator takes conditions"
    group = request.space_group
    if group is not None and 1 <= group <= 230 and symbol(group) + MARK not in numbers():
        return f"space group {group}: CrystaLLM has no word for {symbol(group)}"
    return None


def _fitting(request: CrystalRequest, amounts: Sequence[int]) -> list[Content] | Refusal:
    """Formula units in the primitive cell and its copies in the conventional one that fit what is asked for."""
    found = fitting_units(request, amounts, MAX_ATOMS)
    if isinstance(found, Refusal):
        return found
    group = request.space_group
    return [(n, cells) for n in found for cells in (CENTRINGS if group is None else (len(centring(group)),))]


def _answer(sample: Sample, plan: Plan) -> Generated:
    return answer(sample, lambda: _crystal(cast(CifDraft, sample.draft).text, plan))


def _crystal(text: str, plan: Plan) -> Crystal:
    """The crystal of a text; raises CrystalError where it cannot be read or holds other atoms than were asked for."""
    crystal = read(text)
    found = {name: crystal.species.count(name) for name in crystal.species}
    wanted = {name: count // plan.centring for name, count in plan.counts.items()}
    if found != wanted:
        raise CrystalError(f"a primitive cell of {found} where {wanted} was asked for")
    return crystal


def _network(card: Card, arrays: Arrays) -> CrystaLLM:
    """The network with its weights; raises CheckpointError."""
    try:
        network = CrystaLLM(CrystaLLMConfig(**cast(dict[str, Any], card.config)))
        weights = {name: torch.from_numpy(np.asarray(arrays[name], dtype=np.float32)) for name in network.state_dict()}
        network.load_state_dict(weights)
    except KeyError as exc:
        raise CheckpointError(card.name, f"no array {exc}") from exc
    except (TypeError, ValueError, RuntimeError) as exc:
        raise CheckpointError(card.name, str(exc).splitlines()[0]) from exc
    if broken := [name for name, array in weights.items() if not torch.isfinite(array).all()]:
        raise CheckpointError(card.name, f"array {broken[0]!r} has numbers that are not finite")
    return network.eval()
