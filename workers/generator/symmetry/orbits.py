"""A crystal as its space group, cell and Wyckoff orbits, written in one canonical way."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import spglib

from workers.generator.symmetry.vocabulary import GRID
from workers.spacegroups import UNIT, Ints, centring, hall_number, normaliser, polar_axes, positions

FINE = GRID // UNIT
TOLERANCES = (0.05, 0.01)  # Å, symmetry search
ON_POSITION = 2e-3  # fractional distance from an affine form that still counts as on it

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Orbit:
    """Atoms of one element on one Wyckoff position (index in `positions`), free coordinates on the grid."""

    number: int  # atomic number
    position: int
    free: tuple[int, ...]
    offsets: tuple[float, ...]  # of each free coordinate from its grid point, in grid steps


@dataclass(frozen=True, slots=True)
class SymmetricCrystal:
    """Space group, conventional cell (Å, degrees) and orbits, heaviest element first."""

    group: int
    lattice: tuple[float, ...]
    orbits: tuple[Orbit, ...]


@dataclass(frozen=True, slots=True)
class _Forms:
    """All affine forms of a group's Wyckoff positions, one row each."""

    inverse: Floats  # (F, 3, 3)
    offset: Floats  # (F, 3), inverse @ base
    position: Ints  # (F,)
    is_free: npt.NDArray[np.bool_]  # (F, 3)


@cache
def _forms(group: int) -> _Forms:
    table = positions(group)
    inverse = np.concatenate([p.inverse for p in table]).astype(np.float64)
    base = np.concatenate([p.base for p in table]) / UNIT
    sizes = [p.multiplicity for p in table]
    free = np.repeat([p.free for p in table], sizes)
    offset = np.einsum("fij,fj->fi", inverse, base)
    return _Forms(inverse, offset, np.repeat(np.arange(len(table)), sizes), np.arange(3) < free[:, None])


def locate(group: int, points: Floats) -> tuple[Ints, Ints, Floats]:
    """For points (..., 3): the most symmetric Wyckoff position each is on, and its smallest free grid coordinates.

    The free coordinates come as one whole number each, digits in base GRID, and their offsets in grid steps (..., 3).
    """
    forms = _forms(group)
    local = np.einsum("fij,...j->...fi", forms.inverse, points) - forms.offset  # free coordinates, then whole numbers
    residue = np.abs(local - np.rint(local))
    hits = ((residue < ON_POSITION) | forms.is_free).all(axis=-1)
    position = forms.position[hits.argmax(axis=-1)]  # positions come most symmetric first
    nearest = np.rint(local * GRID)
    steps = np.where(forms.is_free, nearest.astype(np.int64) % GRID, 0)
    digits = (steps[..., 0] * GRID + steps[..., 1]) * GRID + steps[..., 2]
    same = hits & (forms.position == position[..., None])
    digits = np.where(same, digits, GRID**3)
    smallest = digits.argmin(axis=-1)[..., None]
    offsets = np.take_along_axis(local * GRID - nearest, smallest[..., None], axis=-2)[..., 0, :]
    return position, np.take_along_axis(digits, smallest, axis=-1)[..., 0], offsets


def orbit_points(group: int, position: int, free: npt.ArrayLike) -> Ints:
    """Grid coordinates of all atoms of an orbit: (m, 3), or (..., m, 3) for free coordinates (..., k)."""
    place = positions(group)[position]
    steps = np.asarray(free, dtype=np.int64)
    moved = np.einsum("mij,...j->...mi", place.basis[:, :, : place.free], steps)
    points: Ints = (moved + place.base * FINE) % GRID
    return points


def exact_points(group: int, orbit: Orbit) -> Floats:
    """Fractional coordinates of all atoms of an orbit, offsets included: (m, 3)."""
    place = positions(group)[orbit.position]
    steps = np.add(orbit.free, orbit.offsets)
    points: Floats = ((place.basis[:, :, : place.free] @ steps + place.base * FINE) / GRID) % 1.0
    return points


def _standard_cell(lattice: Floats, numbers: Ints, coords: Floats, tolerance: float) -> spglib.SpglibDataset | None:
    cell = (lattice.tolist(), coords.tolist(), numbers.tolist())
    dataset = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    if dataset is None:
        return None
    hall = hall_number(dataset.number)
    if dataset.hall_number != hall:
        dataset = spglib.get_symmetry_dataset(cell, symprec=tolerance, hall_number=hall)
    return dataset


def _first_atoms(dataset: spglib.SpglibDataset) -> tuple[Ints, Ints]:
    """Index of one atom of each orbit in the standard cell, and the number of atoms in the orbit."""
    by_primitive = np.zeros(int(dataset.mapping_to_primitive.max()) + 1, dtype=np.int64)
    by_primitive[dataset.mapping_to_primitive] = dataset.crystallographic_orbits
    _, first, counts = np.unique(by_primitive[dataset.std_mapping_to_primitive], return_index=True, return_counts=True)
    return first, counts


def cell_parameters(vectors: Floats) -> tuple[float, ...]:
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = [vectors[i] @ vectors[j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    return (*lengths.tolist(), *np.degrees(np.arccos(cosines)).tolist())


def _orbit(group: int, number: int, position: int, digits: int, offsets: Floats) -> Orbit:
    steps = (digits // GRID**2, digits // GRID % GRID, digits % GRID)
    free = positions(group)[position].free
    return Orbit(number, position, steps[:free], tuple(offsets[:free].tolist()))


def _describe(group: int, numbers: Ints, points: Floats) -> tuple[Orbit, ...]:
    """The smallest description over the group's normaliser; the first orbit lies at zero along polar axes."""
    turns, polar = normaliser(group), list(polar_axes(group))
    moved = np.einsum("cij,nj->cni", turns.rotations, points) + turns.translations[:, None] / UNIT
    places, digits, offsets = locate(group, moved)  # (c, n)
    if polar:
        order = np.lexsort((digits, places, np.broadcast_to(-numbers, places.shape)))
        first = moved[np.arange(len(moved)), order[:, 0]]
        moved[..., polar] -= first[:, None, polar]
        places, digits, offsets = locate(group, moved)
    order = np.lexsort((digits, places, np.broadcast_to(-numbers, places.shape)))
    rows = np.arange(len(moved))[:, None]
    places, digits, offsets = places[rows, order], digits[rows, order], offsets[rows, order]
    kinds = (-np.sort(-numbers)).tolist()
    i = min(range(len(moved)), key=lambda i: (places[i].tolist(), digits[i].tolist()))
    described = zip(kinds, places[i].tolist(), digits[i].tolist(), offsets[i], strict=True)
    return tuple(_orbit(group, *orbit) for orbit in described)


def encode(lattice: Floats, numbers: Ints, coords: Floats) -> SymmetricCrystal | None:
    """A crystal by its symmetry: from lattice vectors (3, 3), atomic numbers, fractional coordinates (n, 3).

    None where no tolerance gives orbits that the grid can hold exactly.
    """
    for tolerance in TOLERANCES:
        dataset = _standard_cell(lattice, numbers, coords, tolerance)
        if dataset is None:
            continue
        group = int(dataset.number)
        first, counts = _first_atoms(dataset)
        kinds = np.asarray(dataset.std_types, dtype=np.int64)[first]
        orbits = _describe(group, kinds, np.asarray(dataset.std_positions)[first])
        sizes = sorted(positions(group)[orbit.position].multiplicity for orbit in orbits)
        if sizes == sorted(counts.tolist()) and all(_exact(group, orbit) for orbit in orbits):
            return SymmetricCrystal(group, cell_parameters(np.asarray(dataset.std_lattice)), orbits)
    return None


def _exact(group: int, orbit: Orbit) -> bool:
    points = orbit_points(group, orbit.position, orbit.free)
    return len(np.unique(points, axis=0)) == len(points)


def primitive_atoms(crystal: SymmetricCrystal) -> int:
    total = sum(positions(crystal.group)[orbit.position].multiplicity for orbit in crystal.orbits)
    return total // len(centring(crystal.group))
