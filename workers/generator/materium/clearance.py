"""Whether cells keep the atoms of a crystal apart."""

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
        self.reach = np.maximum(CLOSEST * (radii[one] + radii[other]), FLOOR) ** 2
        self.own = _products(np.delete(_IMAGES, _MIDDLE, axis=0))  # an atom and its images

    def edges(self, lengths: Floats) -> Mask:
        """Whether cell edges keep each atom from its own images."""
        return np.asarray(lengths > max(2 * CLOSEST * float(self.radii.max()), FLOOR))

    def volumes(self, volumes: Floats) -> Mask:
        """Whether as much room is there as the atoms' spheres fill."""
        spheres = float((4 / 3 * np.pi * (CLOSEST * self.radii) ** 3).sum())
        return np.asarray(volumes > max(spheres, PER_ATOM[0] * len(self.radii)))

    def cells(self, cells: Floats) -> Mask:
        """Whether cells (m, 6) in Å and degrees close, and keep all atoms apart."""
        lengths, cosines = cells[:, :3], np.cos(np.radians(cells[:, 3:]))
        flatness = 1 - (cosines**2).sum(axis=1) + 2 * cosines.prod(axis=1)
        volumes = lengths.prod(axis=1) * np.sqrt(np.maximum(flatness, 0.0))
        clear = (flatness > FLATTEST) & self.volumes(volumes) & (volumes < PER_ATOM[1] * len(self.radii))
        metrics = _metrics(lengths, cosines)
        widest = max(2 * CLOSEST * float(self.radii.max()), FLOOR) ** 2
        clear &= (self.own @ metrics).min(axis=0) > widest
        if len(self.reach):
            squares = (self.pairs @ metrics).reshape(len(self.reach), len(_IMAGES), len(cells)).min(axis=1)
            clear &= (squares > self.reach[:, None]).all(axis=0)
        found: Mask = clear
        return found


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
