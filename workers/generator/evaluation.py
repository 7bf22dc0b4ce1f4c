"""How often a generator finds the known structure of a held-out compound: in one sample, in several, after ranking.

Samples, comparisons and energies are kept in files beside the figures, so that each can be made anew by itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from workers.crystals import Crystal, flaw, space_group
from workers.generator.benchmarks import Target, held_out
from workers.generator.generators import Generator, judge
from workers.generator.matching import RULE, Distance, charged_distance, closest, distances, matched, mean_distance
from workers.generator.ranking import ENERGETIC, RANKINGS, Group, grouped, order
from workers.generator.records import Desk, Json
from workers.generator.requests import Generated
from workers.generator.spreading import spread
from workers.generator.trials import Exam, answered, from_json, questions
from workers.generator.weighing import choice_of, weights

FEW = 4  # how many of the first of a ranking are looked at


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the samples for one target came to.

    `distances` are those of its own samples, `others` those of the samples for other targets of the same formula, by
    target; energies in eV/atom, infinite where there is none.
    """

    target: Target
    samples: list[Generated]
    distances: list[Distance]
    others: list[list[Distance]]
    groups: list[Group]
    energies: list[float] | None


def csp(generator: Generator, data: Path, exam: Exam, desk: Desk, energies: str | None) -> Json:
    """The figures of one benchmark; energies are measured on a device, or not at all."""
    targets = held_out(data, exam.targets, exam.split, exam.benchmark)
    header = {"model_id": generator.card.model_id, **asdict(exam), "targets": len(targets)}
    asked = questions(targets, exam)
    lines = desk.completed("samples", header, len(asked), lambda start: answered(generator, asked[start:]))
    samples = [[from_json(answer) for answer in line["answers"]] for line in lines]
    found = outcomes(targets, samples, header, desk, energies)
    seconds = sum(line["seconds"] for line in lines)
    figures = {"model": generator.card.name, **header, "rule": RULE, **summary(found)}
    figures["crystals_per_second"] = round(len(targets) * exam.samples / seconds, 1) if seconds else None
    return figures if exam.split != "val" else figures | {"weights": fitted(found)}


def outcomes(
    targets: Sequence[Target], samples: Sequence[list[Generated]], header: Json, desk: Desk, energies: str | None
) -> list[Outcome]:
    """Compare, group and measure samples, where the desk's files do not know the answer yet."""
    others = _alike(targets)
    crystals = [[sample.crystal for sample in own] for own in samples]
    tasks = [
        (target.crystal, [crystal for j in (i, *others[i]) for crystal in crystals[j]])
        for i, target in enumerate(targets)
    ]
    count, processes = len(targets), desk.processes
    rows = desk.completed(
        "distances", header | {"rule": RULE}, count, lambda start: spread(distances, tasks[start:], processes)
    )
    groups = desk.completed("groups", header, count, lambda start: spread(grouped, samples[start:], processes))
    measured: list[list[float] | None] = [None] * count
    if energies is not None:
        jobs = [(energies, _best(own, found)) for own, found in zip(samples, groups, strict=True)]
        costs = desk.completed("energies", header, count, lambda start: spread(_measured, jobs[start:], processes))
        measured = [_by_sample(len(own), found) for own, found in zip(samples, costs, strict=True)]
    return [
        Outcome(target, own, *_apart(row, len(own)), found, cost)
        for target, own, row, found, cost in zip(targets, samples, rows, groups, measured, strict=True)
    ]


def _alike(targets: Sequence[Target]) -> list[list[int]]:
    """For each target the others of the same formula."""
    numbers: dict[str, list[int]] = {}
    for i, target in enumerate(targets):
        numbers.setdefault(target.formula, []).append(i)
    return [[j for j in numbers[target.formula] if j != i] for i, target in enumerate(targets)]


def _apart(row: list[Distance], count: int) -> tuple[list[Distance], list[list[Distance]]]:
    """Distances of the target's own samples, and those of each other target's."""
    return row[:count], [row[start : start + count] for start in range(count, len(row), count)]


def _best(samples: Sequence[Generated], groups: Sequence[Group]) -> list[tuple[int, Crystal]]:
    """The best sample of each structure."""
    return [(group[0], crystal) for group in groups if (crystal := samples[group[0]].crystal) is not None]


def _measured(task: tuple[str, list[tuple[int, Crystal]]]) -> list[tuple[int, float | None]]:
    """Energies in eV/atom of numbered crystals, None where there is none."""
    device, crystals = task
    found = judge(device).energies([crystal for _, crystal in crystals])
    return [(i, energy if np.isfinite(energy) else None) for (i, _), energy in zip(crystals, found, strict=True)]


def _by_sample(count: int, found: Sequence[tuple[int, float | None]]) -> list[float]:
    energies = [float("inf")] * count
    for i, energy in found:
        energies[i] = float("inf") if energy is None else energy
    return energies


def summary(found: Sequence[Outcome]) -> Json:
    """Shares in per cent, distances in (volume / atom)^(1/3); what failed or is not valid counts as a miss.

    METRe and cRMSE give each target the closest of all samples for its formula.
    """
    first = [outcome.distances[0] for outcome in found]
    best = [closest(outcome.distances) for outcome in found]
    valid = [sum(_is_valid(sample) for sample in outcome.samples) for outcome in found]
    each = [matched(outcome.distances) for outcome in found]
    return {
        "valid": _percent(sum(valid) / sum(len(outcome.samples) for outcome in found)),
        "structures": round(float(np.mean([len(outcome.groups) for outcome in found])), 2),
        "match_at_1": _percent(matched(first)),
        "rms_at_1": _rounded(mean_distance(first)),
        "match_each": _percent(float(np.mean(each))),
        "match_within_k": _percent(matched(best)),
        "rms_within_k": _rounded(mean_distance(best)),
        "same_space_group": _percent(sum(map(_same_space_group, found)) / len(found)),
        **_polymorphs("at_1", [[o.distances[0], *(other[0] for other in o.others)] for o in found]),
        **_polymorphs("within_k", [[*o.distances, *(x for other in o.others for x in other)] for o in found]),
        "ranked": {by: _ranked(found, by) for by in RANKINGS if by not in ENERGETIC or found[0].energies is not None},
    }


def _polymorphs(name: str, pools: Sequence[Sequence[Distance]]) -> Json:
    best = [closest(pool) for pool in pools]
    return {f"metre_{name}": _percent(matched(best)), f"crmse_{name}": _rounded(charged_distance(best))}


def _ranked(found: Sequence[Outcome], by: str) -> Json:
    top, few = [], []
    for outcome in found:
        ranked = order(outcome.samples, outcome.energies, by, outcome.groups)
        top.append(outcome.distances[ranked[0]])
        few.append(closest(outcome.distances[i] for i in ranked[:FEW]))
    shares = {"top_1": _percent(matched(top)), f"top_{FEW}": _percent(matched(few))}
    return {**shares, "rms_top_1": _rounded(mean_distance(top))}


def fitted(found: Sequence[Outcome]) -> Json:
    """Weights for the rankings, without and with energies, by which the structure sought comes first."""
    ways = (("without_energy", False), ("with_energy", True))
    return {
        name: weights([choice_of(o.samples, o.energies, o.groups, o.distances, energetic) for o in found])
        for name, energetic in ways
        if not energetic or found[0].energies is not None
    }


def _is_valid(sample: Generated) -> bool:
    return sample.crystal is not None and flaw(sample.crystal) is None


def _same_space_group(outcome: Outcome) -> bool:
    crystal = outcome.samples[0].crystal
    return crystal is not None and space_group(crystal) == space_group(outcome.target.crystal)


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _rounded(value: Distance) -> Distance:
    return None if value is None else round(value, 4)


def evaluate(
    generator: Generator, data: Path, targets: int, count: int, temperature: float, seed: int
) -> dict[str, object]:
    """Figures of MP-20 test over a number of targets with a number of samples each, energies left out."""
    exam = Exam(targets=targets, samples=count, temperature=temperature, seed=seed)
    with TemporaryDirectory() as folder:
        return csp(generator, data, exam, Desk(Path(folder) / "figures"), None)
