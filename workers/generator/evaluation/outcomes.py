"""What the samples for each target came to: compared with it and with each other, and weighed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.crystals import Crystal
from workers.generator.evaluation.benchmarks import Target
from workers.generator.evaluation.desk import Desk, Json, spread
from workers.generator.evaluation.matching import RULE, Distance, distances
from workers.generator.generators import judge
from workers.generator.ranking import Group, grouped
from workers.generator.requests import Generated


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
