"""Space groups: operations, Wyckoff positions as affine forms, and origin shifts that leave a group as it is.

All translations are whole numbers of 1/24 of a cell edge: every special coordinate of every standard setting is one.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt
import spglib

GROUPS = 230
UNIT = 24  # translations and special coordinates are multiples of 1/24

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Operations:
    """All operations x -> W x + w / 24 of the conventional cell, centring included: W (n, 3, 3), w (n, 3)."""

    rotations: Ints
    translations: Ints


@dataclass(frozen=True, slots=True)
class Position:
    """One Wyckoff position: every image of base / 24 + basis @ free, as `multiplicity` affine forms.

    The first `free` columns of basis span the position; inverse @ basis is the identity there, exactly in integers.
    """

    multiplicity: int
    free: int
    base: Ints  # (m, 3) in 1/24
    basis: Ints  # (m, 3, 3), columns beyond `free` complete a unimodular matrix
    inverse: Ints  # (m, 3, 3)


def hall_number(number: int) -> int:
    """Hall number of the first setting that spglib's table lists for the space group."""
    if not 1 <= number <= GROUPS:
        raise ValueError(f"{number=} is not a space group: 1 to {GROUPS}")
    return _hall_numbers()[number]


@cache
def _hall_numbers() -> dict[int, int]:
    return {_type(hall).number: hall for hall in range(530, 0, -1)}


def symbol(number: int) -> str:
    """Hermann-Mauguin symbol, short; its first letter is the lattice's centring."""
    return str(_type(hall_number(number)).international_short)


def _type(hall: int) -> spglib.SpaceGroupType:
    found = spglib.get_spacegroup_type(hall)
    assert found is not None
    return found


@cache
def operations(number: int) -> Operations:
    table = spglib.get_symmetry_from_database(hall_number(number))
    assert table is not None
    rotations = np.asarray(table["rotations"], dtype=np.int64)
    return Operations(rotations, np.rint(np.asarray(table["translations"]) * UNIT).astype(np.int64) % UNIT)


@cache
def centring(number: int) -> Ints:
    """Pure translations of the conventional cell in 1/24, zero first: (c, 3)."""
    group = operations(number)
    pure = (group.rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    shifts = group.translations[pure]
    ordered: Ints = shifts[np.lexsort(shifts.T[::-1])]
    return ordered


def crystal_system(number: int) -> str:
    ends = {2: "triclinic", 15: "monoclinic", 74: "orthorhombic", 142: "tetragonal", 194: "hexagonal", 230: "cubic"}
    return next(name for end, name in ends.items() if number <= end)


def _codes(points: Ints) -> Ints:
    points = points % UNIT
    codes: Ints = (points[..., 0] * UNIT + points[..., 1]) * UNIT + points[..., 2]
    return codes


@cache
def _grid() -> Ints:
    return np.stack(np.meshgrid(*[np.arange(UNIT)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@cache
def _small_vectors() -> Ints:
    """Integer vectors with entries in -2..2, the plainest first."""
    vectors = [v for v in product(range(-2, 3), repeat=3) if any(v)]
    vectors.sort(key=lambda v: (sum(map(abs, v)), [-x for x in v]))
    return np.array(vectors, dtype=np.int64)


def _complete_basis(projector: npt.NDArray[np.float64], free: int) -> Ints:
    """Unimodular matrix whose first `free` columns span the image of the projector."""
    vectors = _small_vectors()
    inside = vectors[np.abs(vectors @ projector.T - vectors).max(axis=1) < 1e-6]
    pools = [inside] * free + [vectors] * (3 - free)
    for first in pools[0]:
        for second in pools[1]:
            cross = np.cross(first, second)
            if not cross.any() or np.gcd.reduce(cross) != 1:
                continue
            hits = np.flatnonzero(np.abs(pools[2] @ cross) == 1)
            if len(hits):
                return np.stack([first, second, pools[2][hits[0]]], axis=1)
    raise AssertionError("no small unimodular basis")


def _images(number: int, base: Ints, basis: Ints, free: int, multiplicity: int) -> Position:
    """Apply the group to one affine form and keep one operation for each image."""
    group = operations(number)
    probe = basis[:, :free] @ np.array([1009, 10007, 100003])[:free]  # a generic point on a fine grid
    scale = UNIT * 1_000_003
    points = base * 1_000_003 + UNIT * probe
    moved = (group.rotations @ points + group.translations * 1_000_003) % scale
    _, keep = np.unique(moved, axis=0, return_index=True)
    keep = np.sort(keep)
    if len(keep) != multiplicity:
        raise AssertionError(f"space group {number}: {len(keep)} images, expected {multiplicity}")
    bases = (group.rotations[keep] @ base + group.translations[keep]) % UNIT
    matrices = group.rotations[keep] @ basis
    inverses = np.rint(np.linalg.inv(matrices)).astype(np.int64)
    return Position(multiplicity, free, bases, matrices, inverses)


@cache
def positions(number: int) -> tuple[Position, ...]:
    """Wyckoff positions of the group, the most symmetric first, as the letters a, b, c … have it."""
    group, grid = operations(number), _grid()
    count = len(group.rotations)
    fixed = np.stack(
        [
            ((grid @ (w - np.eye(3, dtype=np.int64)).T + t) % UNIT == 0).all(axis=1)
            for w, t in zip(group.rotations, group.translations, strict=True)
        ],
        axis=1,
    )  # (24^3, n)
    orders = fixed.sum(axis=1)
    taken = np.zeros(len(grid), dtype=bool)
    found: list[Position] = []
    for order in sorted(set(orders.tolist()) - {1}, reverse=True):
        for index in np.flatnonzero(orders == order):
            if taken[index]:
                continue
            stabiliser = fixed[index]
            projector = group.rotations[stabiliser].mean(axis=0)
            free = int(round(float(np.trace(projector))))
            basis = _complete_basis(projector, free) if free else np.eye(3, dtype=np.int64)
            steps = np.array(list(product(range(UNIT), repeat=free)), dtype=np.int64).reshape(UNIT**free, free)
            plane = (grid[index] + steps @ basis[:, :free].T) % UNIT
            codes = _codes(plane)
            same = plane[orders[codes] == order]
            for w, t in zip(group.rotations, group.translations, strict=True):
                taken[_codes(same @ w.T + t)] = True
            found.append(_images(number, grid[codes.min()], basis, free, count // order))
    found.append(_images(number, np.zeros(3, dtype=np.int64), np.eye(3, dtype=np.int64), 3, count))
    return tuple(found)


@cache
def polar_axes(number: int) -> tuple[int, ...]:
    """Axes along which the group leaves the origin free."""
    rotations = operations(number).rotations
    return tuple(axis for axis in range(3) if (rotations[:, :, axis] == np.eye(3, dtype=np.int64)[axis]).all())


def _holohedry(number: int) -> Ints:
    full = {"triclinic": 2, "monoclinic": 10, "orthorhombic": 47, "tetragonal": 123, "hexagonal": 191, "cubic": 221}
    return operations(full[crystal_system(number)]).rotations


def _normalising_shifts(number: int, rotation: Ints, shifts: Ints) -> Ints:
    """The shifts t for which x -> rotation x + t maps the group onto itself."""
    group = operations(number)
    inverse = np.rint(np.linalg.inv(rotation)).astype(np.int64)
    for w, t in zip(group.rotations, group.translations, strict=True):
        turned = rotation @ w @ inverse
        same = (group.rotations == turned).all(axis=(1, 2))
        moved = rotation @ t + shifts - shifts @ turned.T
        shifts = shifts[np.isin(_codes(moved), _codes(group.translations[same]))]
        if not len(shifts):
            break
    return shifts


@cache
def normaliser(number: int) -> Operations:
    """One operation for each way to describe a crystal anew in the same group and cell (Euclidean normaliser / group).

    Shifts along polar axes, where any shift will do, are zero.
    """
    group, polar = operations(number), list(polar_axes(number))
    grid = _grid()
    grid = grid[(grid[:, polar] == 0).all(axis=1)]
    seen: set[bytes] = set()
    rotations: list[Ints] = []
    translations: list[Ints] = []
    for rotation in sorted(_holohedry(number), key=lambda r: not (r == np.eye(3)).all()):
        for shift in _normalising_shifts(number, rotation, grid):
            turned = group.rotations @ rotation
            moved = (group.rotations @ shift + group.translations) % UNIT
            moved[:, polar] = 0
            keys = {w.tobytes() + t.tobytes() for w, t in zip(turned, moved, strict=True)}
            if keys.isdisjoint(seen):
                rotations.append(rotation)
                translations.append(shift)
            seen |= keys
    return Operations(np.stack(rotations), np.stack(translations))
