"""Orbits of a space group in fractional coordinates of four decimals: their atoms, and what a coordinate may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import lcm

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, covalent_radii

from workers.errors import CrystalError
from workers.generator.crystallm.cif import Site
from workers.spacegroups import UNIT, operations, positions

PARTS = 10_000  # steps of a coordinate
CLOSEST = 0.55  # of the sum of two covalent radii (Cordero et al., Dalton Trans. 2008, as in ase)
FLOOR = 0.6  # Å, whatever the radii
OFF = 0.1  # Å that a point may lie beside the position that its multiplicity says
_STEP = 1e-5  # two images of a settled point are one where they agree to this
_SHIFT = 0.37  # of a step, so that no settled coordinate lies on an edge
_NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=3)), dtype=np.float64)  # (27, 3)
_LARGEST = 24  # denominator of a ratio between two coordinates

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def orbit(group: int, site: Site, lattice: Floats) -> Floats:
    """All atoms of an orbit (m, 3), its point moved on to the position that its multiplicity says.

    Raises CrystalError where no such position is near.
    """
    table = operations(group)
    shifts = table.translations / UNIT
    what = f"no orbit of {site.multiplicity} atoms in space group {group}"
    wrong = CrystalError(f"with {site.element} at {site.point}", what)
    if not site.multiplicity or len(shifts) % site.multiplicity:
        raise wrong
    point = np.asarray(site.point, dtype=np.float64)
    steps = table.rotations @ point + shifts - point
    steps -= np.rint(steps)
    distances = np.linalg.norm(steps @ lattice, axis=1)
    keeping = np.argsort(distances, kind="stable")[: len(shifts) // site.multiplicity]
    if not distances[keeping].max() < OFF:
        raise wrong
    images = (table.rotations @ (point + steps[keeping].mean(axis=0)) + shifts) % 1.0
    codes = np.floor(images / _STEP + _SHIFT).astype(np.int64) % round(1 / _STEP)
    _, first = np.unique(codes, axis=0, return_index=True)
    if len(first) != site.multiplicity:
        raise wrong
    found: Floats = images[np.sort(first)]
    return found


@dataclass(frozen=True, slots=True)
class Forms:
    """The affine forms of all atoms of some Wyckoff positions, and how a coordinate follows from those before it.

    coordinate k = base k + ratios k @ (those before − their base) + any multiple of 1 / parts k, where it is tied.
    """

    base: Floats  # (F, 3)
    tied: Mask  # (F, 3)
    ratios: Floats  # (F, 3, 2)
    parts: npt.NDArray[np.int64]  # (F, 3)

    def chosen(self, kept: Mask) -> "Forms":
        return Forms(self.base[kept], self.tied[kept], self.ratios[kept], self.parts[kept])

    def allowed(self, before: tuple[int, ...]) -> Mask:
        """Which steps of the next coordinate some form has: (PARTS,)."""
        axis = len(before)
        if not self.tied[:, axis].all():
            return np.ones(PARTS, dtype=np.bool_)
        mask = np.zeros(PARTS, dtype=np.bool_)
        for values, loose in self._values(before):
            mask[values] = True
            for side in (-1, 1):  # a ratio of two rounded coordinates is no better than this
                mask[(values[loose] + side) % PARTS] = True
        return mask

    def holding(self, coordinates: tuple[int, ...]) -> "Forms":
        """The forms that have these coordinates, the last of which is new."""
        *before, last = coordinates
        kept = ~self.tied[:, len(before)]
        for values, loose in self._values(tuple(before)):
            apart = np.abs((values - last + PARTS // 2) % PARTS - PARTS // 2)
            kept |= apart <= loose
        return self.chosen(kept)

    def _values(self, before: tuple[int, ...]) -> list[tuple[npt.NDArray[np.int64], Mask]]:
        """The steps that tied coordinates take, and whether they follow from one before: (F,), (F,) for each part."""
        axis = len(before)
        known = np.asarray(before, dtype=np.float64) / PARTS - self.base[:, :axis]
        place = self.base[:, axis] + (self.ratios[:, axis, :axis] * known).sum(axis=1)
        loose: Mask = np.asarray(self.ratios[:, axis].any(axis=1))
        found = []
        for part in range(int(self.parts[:, axis].max(initial=1))):
            steps = np.rint((place + np.minimum(part, self.parts[:, axis] - 1) / self.parts[:, axis]) * PARTS)
            found.append((steps.astype(np.int64) % PARTS, loose))
        return found


def forms(group: int, chosen: Sequence[int]) -> Forms:
    """The forms of the chosen Wyckoff positions, by their place among the group's."""
    found = [_forms(group, index) for index in chosen]
    base, tied, ratios, parts = (
        np.concatenate([getattr(form, name) for form in found]) for name in ("base", "tied", "ratios", "parts")
    )
    return Forms(base, tied, ratios, parts)


@cache
def _forms(group: int, index: int) -> Forms:
    position = positions(group)[index]
    ties = [_ties(matrix[:, : position.free]) for matrix in position.basis]
    tied, ratios, parts = (np.array(column) for column in zip(*ties, strict=True))
    return Forms(position.base / UNIT, tied, ratios, parts)


def _ties(matrix: npt.NDArray[np.int64]) -> tuple[list[bool], list[list[float]], list[int]]:
    """Whether each coordinate follows from those before it, by which ratios, and up to which part of a cell."""
    tied, ratios, parts = [], [], []
    for axis, line in enumerate(matrix):
        known: list[int] = []
        for i in range(axis):
            if np.linalg.matrix_rank(matrix[[*known, i]]) > len(known):
                known.append(i)
        found = np.zeros(2)
        if known:
            found[known] = np.linalg.lstsq(matrix[known].T.astype(np.float64), line.astype(np.float64), rcond=None)[0]
        tied.append(bool(np.allclose(found[:axis] @ matrix[:axis], line)))
        parts.append(_denominator(found) if tied[-1] else 1)
        ratios.append(found.tolist() if tied[-1] else [0.0, 0.0])
    return tied, ratios, parts


def _denominator(ratios: Floats) -> int:
    return lcm(*(next(d for d in range(1, _LARGEST) if abs(ratio * d - round(ratio * d)) < 1e-9) for ratio in ratios))


class Neighbours:
    """Atoms placed so far in a conventional cell, and whether an orbit keeps clear of itself and of them."""

    def __init__(self, lattice: Floats) -> None:
        self.lattice = lattice
        self.images = _NEIGHBOURS @ lattice
        self.points = np.zeros((0, 3))
        self.radii = np.zeros(0)

    def fits(self, element: str, points: Floats) -> bool:
        """Whether the orbit (m, 3) fits; by symmetry its first atom speaks for all."""
        radius = covalent_radii[atomic_numbers[element]]
        own = self._distances(points - points[0])
        own[0, len(_NEIGHBOURS) // 2] = np.inf  # the first atom and itself
        others = self._distances(self.points - points[0]).min(axis=1)
        reach = np.maximum(CLOSEST * (radius + self.radii), FLOOR)
        return bool(own.min() > max(2 * CLOSEST * radius, FLOOR) and (others > reach).all())

    def place(self, element: str, points: Floats) -> None:
        self.points = np.concatenate([self.points, points])
        self.radii = np.concatenate([self.radii, np.full(len(points), covalent_radii[atomic_numbers[element]])])

    def _distances(self, apart: Floats) -> Floats:
        wrapped = (apart - np.rint(apart)) @ self.lattice
        found: Floats = np.linalg.norm(wrapped[:, None] + self.images, axis=-1)
        return found
