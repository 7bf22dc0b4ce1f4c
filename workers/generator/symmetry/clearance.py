"""Distances between a new orbit and the atoms that are already there."""

from itertools import product

import numpy as np
import numpy.typing as npt

from workers.generator.symmetry.orbits import orbit_points
from workers.generator.symmetry.unfolding import lattice_vectors
from workers.generator.symmetry.vocabulary import GRID
from workers.spacegroups import Ints

Floats = npt.NDArray[np.float64]

CLOSEST = 0.55  # of the sum of two covalent radii
FLOOR = 0.6  # Å, whatever the radii
_NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=3)), dtype=np.float64)  # (27, 3)


class Clearance:
    """Atoms placed so far in a conventional cell, and whether others fit between them."""

    def __init__(self, group: int, lattice: tuple[float, ...], radii: Floats) -> None:
        self.group = group
        self.vectors = lattice_vectors(lattice)
        self.images = _NEIGHBOURS @ self.vectors
        self.radii = radii
        self.points = np.zeros((0, 3))
        self.numbers = np.zeros(0, dtype=np.int64)

    def fits(self, number: int, position: int, free: Ints) -> npt.NDArray[np.bool_]:
        """For candidates' free coordinates (n, k): whether the orbit keeps clear of itself and of all atoms."""
        orbits = orbit_points(self.group, position, free) / GRID  # (n, m, 3)
        first = orbits[:, :1]
        inner = self._squares(orbits - first)  # (n, m, 27)
        inner[:, 0, len(_NEIGHBOURS) // 2] = np.inf  # the first atom and itself
        reach = self._reach(number, np.array([number]))
        clear: npt.NDArray[np.bool_] = inner.min(axis=(1, 2)) > reach[0] ** 2
        if len(self.points):
            outer = self._squares(self.points - first).min(axis=2)
            clear &= (outer > self._reach(number, self.numbers) ** 2).all(axis=1)
        return clear

    def place(self, number: int, position: int, free: tuple[int, ...]) -> None:
        points = orbit_points(self.group, position, free) / GRID
        self.points = np.concatenate([self.points, points])
        self.numbers = np.concatenate([self.numbers, np.full(len(points), number)])

    def _squares(self, apart: Floats) -> Floats:
        wrapped = (apart - np.rint(apart)) @ self.vectors
        squares: Floats = ((wrapped[..., None, :] + self.images) ** 2).sum(axis=-1)
        return squares

    def _reach(self, number: int, others: Ints) -> Floats:
        reach: Floats = np.maximum(CLOSEST * (self.radii[number] + self.radii[others]), FLOOR)
        return reach
