"""What the structure predictor says of a material: of its generated structure, of that relaxed, of the known one."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from workers.crystals import Crystal
from workers.generator.evaluation.desk import Json
from workers.generator.evaluation.matching import distances
from workers.generator.generators import judge
from workers.generator.ranking import Group, grouped, order
from workers.generator.requests import Generated
from workers.judge_heads import PREDICTED
from workers.properties import Predicted, structure_name

FMAX = 0.05  # eV/Å
STRUCTURES = ("generated", "relaxed", "known")


@dataclass(frozen=True, slots=True)
class Task:
    """A known structure, the samples for its formula, how they are ranked, and how long the best is relaxed."""

    known: Crystal
    samples: Sequence[Generated]
    rank: str
    steps: int
    device: str


def answer(task: Task) -> Json:
    """By structure, [value, standard deviation] of each of PREDICTED; distances of the first two from the known one;
    or why there is no answer."""
    groups = grouped(task.samples)
    if not groups:
        return {"flaw": task.samples[0].flaw}
    model, energies = judge(task.device), _energies(task, groups)
    ranked = order(task.samples, energies, task.rank, groups)
    best = _made(task, ranked[0])
    relaxed = model.relax([best], task.steps, FMAX)[0]
    said = [_listed(predicted) for predicted in model.predict([best, relaxed.crystal, task.known])]
    refused = [name for name, answers in zip(STRUCTURES, said, strict=True) if answers is None]
    if refused:
        return {"flaw": f"{refused[0]} structure: {relaxed.flaw or 'the potential cannot measure it'}"}
    apart = distances((task.known, [best, relaxed.crystal]))
    copies = next(len(group) for group in groups if ranked[0] in group)
    facts = {"copies": copies, "structures": len(groups), "energies": [energies[ranked[0]], relaxed.energy]}
    return {**dict(zip(STRUCTURES, said, strict=True)), "distances": apart, **facts}


def _energies(task: Task, groups: Sequence[Group]) -> list[float]:
    """Energies in eV/atom of the best sample of each structure, infinite for the others."""
    firsts = [group[0] for group in groups]
    found = dict(zip(firsts, judge(task.device).energies([_made(task, i) for i in firsts]), strict=True))
    return [found.get(i, inf) for i in range(len(task.samples))]


def _made(task: Task, i: int) -> Crystal:
    crystal = task.samples[i].crystal
    assert crystal is not None  # only samples with one are grouped
    return crystal


def _listed(predicted: Predicted) -> list[list[float]] | None:
    """None for a crystal that the potential refuses."""
    names = [structure_name(name) for name in PREDICTED]
    if not set(names) <= set(predicted):
        return None
    return [[round(number, 6) for number in predicted[name]] for name in names]
