"""From orbits back to atoms: the primitive cell of a crystal given by its symmetry."""

from functools import cache

import numpy as np
import numpy.typing as npt
import spglib
from pymatgen.core import Element

from workers.crystals import Crystal, from_arrays
from workers.generator.symmetry.orbits import SymmetricCrystal, cell_parameters, exact_points, orbit_points
from workers.generator.symmetry.vocabulary import GRID
from workers.spacegroups import UNIT, Ints, centring, symbol

Floats = npt.NDArray[np.float64]

_SIXTHS = {
    "P": ((6, 0, 0), (0, 6, 0), (0, 0, 6)),
    "A": ((6, 0, 0), (0, 3, -3), (0, 3, 3)),
    "C": ((3, 3, 0), (-3, 3, 0), (0, 0, 6)),
    "I": ((-3, 3, 3), (3, -3, 3), (3, 3, -3)),
    "F": ((0, 3, 3), (3, 0, 3), (3, 3, 0)),
    "R": ((4, 2, 2), (-2, 2, 2), (-2, -4, 2)),
}  # primitive vectors in sixths of the conventional ones, as in spglib


@cache
def primitive_vectors(group: int) -> Floats:
    """Primitive lattice vectors in terms of the conventional ones, as rows: (3, 3)."""
    return np.array(_SIXTHS[symbol(group)[0]], dtype=np.float64) / 6


def lattice_vectors(lattice: tuple[float, ...]) -> Floats:
    """Lattice vectors as rows (Å) from lengths and angles (degrees): (3, 3)."""
    a, b, c, *angles = lattice
    ca, cb, cg = np.cos(np.radians(angles)).tolist()
    sg = np.sqrt(1 - cg * cg)
    y = (ca - cb * cg) / sg
    return np.array([[a, 0.0, 0.0], [b * cg, b * sg, 0.0], [c * cb, c * y, c * np.sqrt(max(1 - cb * cb - y * y, 0.0))]])


def primitive_choice(group: int, points: Ints) -> Ints:
    """Indices of one of each set of grid points (m, 3) that differ by a centring translation."""
    shifted = (points[:, None] + centring(group) * (GRID // UNIT)) % GRID  # (m, c, 3)
    codes = (shifted[..., 0] * GRID + shifted[..., 1]) * GRID + shifted[..., 2]
    _, first = np.unique(codes.min(axis=1), return_index=True)
    return np.sort(first)


def unfold(crystal: SymmetricCrystal) -> Crystal:
    """The Niggli-reduced primitive cell with all its atoms, heaviest element first."""
    vectors = primitive_vectors(crystal.group)
    to_primitive = np.linalg.inv(vectors)
    species: list[str] = []
    coords: list[Floats] = []
    for orbit in crystal.orbits:
        chosen = primitive_choice(crystal.group, orbit_points(crystal.group, orbit.position, orbit.free))
        coords.append(exact_points(crystal.group, orbit)[chosen] @ to_primitive)
        species.extend([str(Element.from_Z(orbit.number).symbol)] * len(chosen))
    return from_arrays(*_reduced(vectors @ lattice_vectors(crystal.lattice), species, np.concatenate(coords)))


def _reduced(vectors: Floats, species: list[str], coords: Floats) -> tuple[tuple[float, ...], list[str], Floats]:
    """The same crystal in its Niggli cell, or as it is where spglib finds none."""
    reduced = spglib.niggli_reduce(vectors)
    if reduced is None:
        return cell_parameters(vectors), species, coords % 1.0
    turn = np.rint(np.asarray(reduced) @ np.linalg.inv(vectors))
    moved = coords @ np.linalg.inv(turn)
    return cell_parameters(turn @ vectors), species, np.round(moved, 9) % 1.0
