"""Whether cells keep the atoms of a crystal apart, and places in a cell those that are there."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CLOSEST = 0.55  # of the sum of two covalent radii
FLOOR = 0.6  # Å, whatever the radii
PER_ATOM = (2.0, 400.0)  # Å³
FLATTEST = 1e-3  # volume over the product of the edges, squared
_IMAGES = np.array(list(product((-1, 0, 1), repeat=3)), dtype=np.float64)  # (27, 3)
_MIDDLE = len(_IMAGES) // 2


class Clearance:
    """Atoms at fractional coordinates (n, 3) with covalent radii (n,) in Å, before their cell is known."""

    def __init__(self, coords: Floats, radii: Floats) -> None:
        self.radii = radii
        one, other = np.triu_indices(len(coords), 1)
        apart = coords[one] - coords[other]
        apart = (apart - np.rint(apart))[:, None] + _IMAGES  # (pairs, 27, 3)
        self.pairs = _products(apart.reshape(-1, 3))
        self.reach = reaches(radii[one], radii[other]) ** 2
        self.widest = float(reaches(radii, radii).max())
        self.own = _products(np.delete(_IMAGES, _MIDDLE, axis=0))  # an atom and its images

    def edges(self, lengths: Floats) -> Mask:
        """Whether cell edges keep each atom from its own images."""
        return np.asarray(lengths > self.widest)

    def volumes(self, volumes: Floats) -> Mask:
        """Whether as much room is there as the atoms' spheres fill."""
        spheres = float((4 / 3 * np.pi * (CLOSEST * self.radii) ** 3).sum())
        return np.asarray(volumes > max(spheres, PER_ATOM[0] * len(self.radii)))

    def cells(self, cells: Floats, share: float = 1.0) -> Mask:
        """Whether cells (m, 6) in Å and degrees close, and keep atoms this share of what is asked apart."""
        lengths, cosines = cells[:, :3], np.cos(np.radians(cells[:, 3:]))
        flatness = _flatness(cosines)
        volumes = lengths.prod(axis=1) * np.sqrt(np.maximum(flatness, 0.0))
        clear = (flatness > FLATTEST) & self.volumes(volumes) & (volumes < PER_ATOM[1] * len(self.radii))
        metrics = _metrics(lengths, cosines)
        clear &= (self.own @ metrics).min(axis=0) > (share * self.widest) ** 2
        if len(self.reach):
            squares = (self.pairs @ metrics).reshape(len(self.reach), len(_IMAGES), len(cells)).min(axis=1)
            clear &= (squares > share**2 * self.reach[:, None]).all(axis=0)
        found: Mask = clear
        return found


class Guess:
    """A cell (6,) in Å and degrees that a crystal is likely to have something like."""

    def __init__(self, cell: Floats) -> None:
        self.cell = cell
        self.metric = _metrics(cell[None, :3], np.cos(np.radians(cell[None, 3:])))[:, 0]

    def completed(self, cell: Sequence[float], values: Floats) -> Floats:
        """Cells (m, 6) that begin with these parameters, go on with one of the values, and end as is likely."""
        known = len(cell)
        found = np.tile(self.cell, (len(values), 1))
        found[:, :known] = cell
        found[:, known] = values
        found[:, known + 1 : 3] *= found[:, :1] / self.cell[0]
        return found

    def fits(self, candidates: Floats, coords: Floats, reach: Floats) -> Mask:
        """Whether places (m, 3) keep these distances (n,) in Å from atoms that are there (n, 3)."""
        apart = candidates[:, None] - coords
        apart = (apart - np.rint(apart))[:, :, None] + _IMAGES  # (m, n, 27, 3)
        squares = (_products(apart.reshape(-1, 3)) @ self.metric).reshape(*apart.shape[:3]).min(axis=2)
        return np.asarray((squares > reach**2).all(axis=1))


def reaches(radius: Floats, radii: Floats) -> Floats:
    """The shortest distances in Å that are accepted between atoms of these covalent radii."""
    return np.maximum(CLOSEST * (radius + radii), FLOOR)


def guessed(cell: Floats) -> Guess | None:
    """A guess, unless no cell has these angles."""
    return Guess(cell) if _flatness(np.cos(np.radians(cell[None, 3:])))[0] > FLATTEST else None


def _flatness(cosines: Floats) -> Floats:
    """Squares of the volumes of cells whose edges are 1: (m,)."""
    return np.asarray(1 - (cosines**2).sum(axis=1) + 2 * cosines.prod(axis=1))


def _products(steps: Floats) -> Floats:
    """What a metric is multiplied with to give the squares of steps (n, 3): (n, 6)."""
    x, y, z = steps.T
    return np.stack([x * x, y * y, z * z, 2 * y * z, 2 * x * z, 2 * x * y], axis=1)


def _metrics(lengths: Floats, cosines: Floats) -> Floats:
    """The six numbers of each cell's metric: (6, m)."""
    a, b, c = lengths.T
    alpha, beta, gamma = cosines.T
    return np.stack([a * a, b * b, c * c, b * c * alpha, a * c * beta, a * b * gamma])


def edge_products(cell: Sequence[float], lengths: Floats) -> Floats:
    """The largest volumes that cells with these edges can have, the last edge still open."""
    return np.asarray(np.prod(cell) * lengths)
