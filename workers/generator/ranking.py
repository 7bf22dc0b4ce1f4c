"""Samples of one formula in the order in which they deserve trust: different structures first, then their repeats."""

from collections.abc import Callable, Sequence
from math import inf, isfinite

import numpy as np
import numpy.typing as npt

from workers.crystals import merge_duplicates
from workers.generator.requests import Generated

Group = list[int]
Energies = Sequence[float]  # eV/atom of each sample, infinite where it was not measured
Floats = npt.NDArray[np.float64]
Score = Callable[[Sequence[Generated], Energies, Sequence[Group]], Floats]

LEAST_MASS = -10.0  # nats below the most probable structure: further down a model is too sure of itself
MOST_ENERGY = 0.2  # eV/atom above the lowest: more says that bonds are a little off, not which structure it is

# What one more unit of each column of `features` adds to the log-odds of being the structure sought; fitted by
# `python -m workers.training.evaluate csp --split val`, alike for given cells and for cells that the model chooses.
WITHOUT_ENERGY = np.array([0.15, 0.9, 0.0])
WITH_ENERGY = np.array([0.1, 0.9, -7.5])


def grouped(samples: Sequence[Generated]) -> list[Group]:
    """Numbers of the samples that are one structure, the most probable first; those without a crystal are in none."""
    kept = [(i, crystal) for i, sample in enumerate(samples) if (crystal := sample.crystal) is not None]
    groups: dict[int, Group] = {}
    for (i, _), first in zip(kept, merge_duplicates([crystal for _, crystal in kept]), strict=True):
        groups.setdefault(first, []).append(i)
    return [sorted(group, key=lambda i: (-samples[i].log_mass, i)) for group in groups.values()]


def order(
    samples: Sequence[Generated], energies: Energies | None, by: str, groups: Sequence[Group] | None = None
) -> list[int]:
    """Numbers of all samples: the best of each structure, best structure first; then repeats; then what has no crystal.

    `by` is one of RANKINGS; those of ENERGETIC need energies, if only of the first of each group. Groups are found
    where they are not given.
    """
    if by in ENERGETIC and energies is None:
        raise ValueError(f"{by=} needs energies")
    costs = [inf] * len(samples) if energies is None else energies
    groups = grouped(samples) if groups is None else groups
    scores = RANKINGS[by](samples, costs, groups)
    ranked = sorted(zip(scores, groups, strict=True), key=lambda pair: (-pair[0], -_mass(samples, pair[1]), pair[1][0]))
    members = [sorted(group, key=lambda i: _merit(samples, costs, by, i)) for _, group in ranked]
    placed = [group[0] for group in members] + [i for group in members for i in group[1:]]
    return placed + sorted(set(range(len(samples))) - set(placed))


def features(samples: Sequence[Generated], energies: Energies, groups: Sequence[Group]) -> Floats:
    """What is known of each structure, (g, 3): log_mass of its most probable sample, relative to that of all; log of
    the number of its samples; its lowest energy, relative to that of all."""
    masses = np.array([_mass(samples, group) for group in groups])
    counts = np.log([len(group) for group in groups])
    costs = np.array([min(energies[i] for i in group) for group in groups])
    lowest = costs.min(initial=inf)
    above = np.minimum(costs - lowest, MOST_ENERGY) if isfinite(lowest) else np.zeros(len(groups))
    return np.stack([np.maximum(masses - masses.max(initial=-inf), LEAST_MASS), counts, above], axis=1)


def _mass(samples: Sequence[Generated], group: Group) -> float:
    return max(samples[i].log_mass for i in group)


def _merit(samples: Sequence[Generated], energies: Energies, by: str, i: int) -> tuple[float, ...]:
    """What puts a sample before others of its structure, smallest first."""
    sample = samples[i]
    first = {"first": float(i), "log_likelihood": -sample.log_likelihood}.get(by, 0.0)
    return (energies[i] if by in ENERGETIC else first, -sample.log_mass, float(i))


def _likelihood(samples: Sequence[Generated], energies: Energies, groups: Sequence[Group]) -> Floats:
    """Two estimates of a structure's log-probability, weighed: the mass of its best sample knows one neighbourhood
    well and no other, its share of the samples knows all of them roughly."""
    return np.asarray(features(samples, energies, groups) @ WITHOUT_ENERGY)


def _both(samples: Sequence[Generated], energies: Energies, groups: Sequence[Group]) -> Floats:
    return np.asarray(features(samples, energies, groups) @ WITH_ENERGY)


RANKINGS: dict[str, Score] = {
    "first": lambda samples, energies, groups: np.array([-float(min(group)) for group in groups]),
    "log_likelihood": lambda samples, energies, groups: np.array(
        [max(samples[i].log_likelihood for i in group) for group in groups]
    ),
    "log_mass": lambda samples, energies, groups: np.array([_mass(samples, group) for group in groups]),
    "cluster": lambda samples, energies, groups: np.array([float(len(group)) for group in groups]),
    "likelihood": _likelihood,
    "energy": lambda samples, energies, groups: np.array([-min(energies[i] for i in group) for group in groups]),
    "both": _both,
}
ENERGETIC = frozenset({"energy", "both"})
