"""The symmetry grammar: which token follows which, and what a model is told about the token to come.

formula (element, count in the primitive cell; heaviest first) · start · space group · for each element the Wyckoff
positions of its orbits · free lattice parameters (volume per atom first) · free coordinates of each orbit.
What the formula, the group or the lattice system leaves no choice about is not a token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from workers.generator.orbits import GRID, SymmetricCrystal, primitive_atoms
from workers.spacegroups import GROUPS, UNIT, Ints, Position, centring, crystal_system, positions

ELEMENTS = 119  # atomic numbers, 0 for none
MAX_ATOMS = 20


class Role(IntEnum):
    """What a token stands for."""

    PAD = 0
    FORMULA = 1
    START = 2
    GROUP = 3
    POSITION = 4
    VOLUME = 5
    B_TO_A = 6
    C_TO_A = 7
    ALPHA = 8
    BETA = 9
    GAMMA = 10
    FIRST = 11
    SECOND = 12
    THIRD = 13


COORDINATES = (Role.FIRST, Role.SECOND, Role.THIRD)
RATIOS = (Role.B_TO_A, Role.C_TO_A)
ANGLES = (Role.ALPHA, Role.BETA, Role.GAMMA)
CELL = (Role.VOLUME, *RATIOS, *ANGLES)
FREE_CELL = {
    "triclinic": CELL,
    "monoclinic": (Role.VOLUME, *RATIOS, Role.BETA),
    "orthorhombic": (Role.VOLUME, *RATIOS),
    "tetragonal": (Role.VOLUME, Role.C_TO_A),
    "hexagonal": (Role.VOLUME, Role.C_TO_A),
    "cubic": (Role.VOLUME,),
}


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins between two ends, on a log scale or not; values beyond an end fall in its last bin."""

    low: float
    high: float
    count: int
    log: bool

    def index(self, value: float) -> int:
        low, high, value = np.log((self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return int(min(max((value - low) / (high - low) * self.count, 0), self.count - 1))

    def value(self, index: int) -> float:
        share = (index + 0.5) / self.count
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share


VOLUME = Bins(3.0, 200.0, 320, log=True)  # Å³ per atom
RATIO = Bins(1 / 16, 16.0, 480, log=True)
ANGLE = Bins(20.0, 160.0, 280, log=False)  # degrees
CELL_BINS = {Role.VOLUME: VOLUME, **dict.fromkeys(RATIOS, RATIO), **dict.fromkeys(ANGLES, ANGLE)}

_POSITIONS_BY_GROUP = (
    "1 9 5 1 3 3 1 2 1 15 6 10 7 5 6 21 5 3 1 3 12 11 11 4 9 3 5 4 1 3 2 3 1 3 6 2 4 6 4 3 2 5 2 5 3 3 27 13 18 "
    "13 12 5 9 6 9 5 5 8 7 4 3 4 8 7 18 13 15 9 16 8 15 11 6 10 4 1 4 1 3 2 8 7 12 11 7 7 9 6 16 7 4 2 16 7 4 2 "
    "11 7 7 4 5 4 4 3 6 3 5 4 3 2 15 14 6 5 12 10 9 9 10 9 10 5 21 14 14 11 12 9 11 7 18 16 11 14 9 11 8 10 15 13 "
    "9 7 4 1 1 2 7 6 12 7 3 3 3 3 6 5 4 4 3 3 2 12 9 10 7 9 6 4 1 1 3 3 3 12 12 9 14 3 3 11 11 9 6 4 4 4 15 12 12 "
    "9 18 13 12 12 10 8 6 2 3 12 8 9 7 8 4 5 11 13 10 8 10 5 5 9 10 9 8 9 8 5 14 9 12 12 12 10 9 8 12 8"
)  # how many Wyckoff positions each group has: known here so that no group is worked out before it is needed
SITES = 1731  # Wyckoff positions of all groups
GROUP_AT = ELEMENTS  # where each kind of value starts in the table of all values
SITE_AT = GROUP_AT + GROUPS + 1
VOLUME_AT = SITE_AT + SITES
RATIO_AT = VOLUME_AT + VOLUME.count
ANGLE_AT = RATIO_AT + RATIO.count
COORDINATE_AT = ANGLE_AT + ANGLE.count
VALUES = COORDINATE_AT + GRID
VALUE_AT = {
    Role.FORMULA: 0, Role.START: 0, Role.GROUP: GROUP_AT, Role.POSITION: SITE_AT, Role.VOLUME: VOLUME_AT,
    **dict.fromkeys(RATIOS, RATIO_AT), **dict.fromkeys(ANGLES, ANGLE_AT), **dict.fromkeys(COORDINATES, COORDINATE_AT),
}  # fmt: skip


class Column(IntEnum):
    """One row of model input: the token itself, then what is known of the token to come."""

    ROLE = 0
    VALUE = 1
    COUNT = 2  # atoms in the primitive cell: of the element, or of all at the start
    ELEMENT = 3
    SITE = 4
    NEXT_ROLE = 5
    NEXT_ELEMENT = 6
    NEXT_OWED = 7  # atoms of the element not yet placed, in the primitive cell
    NEXT_SITE = 8
    NEXT_ORBIT = 9
    TARGET = 10  # the next token's value within its kind, -1 where nothing is predicted
    ORBIT = 11  # which orbit the token itself belongs to


COLUMNS = len(Column)
NO_SITE = SITES


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one token: its role and what is known before it is filled."""

    role: Role
    element: int = 0
    owed: int = 0
    site: int = NO_SITE
    orbit: int = 0


@cache
def site_starts() -> Ints:
    """Index of each group's first Wyckoff position among those of all groups, by number: (231,), and the end."""
    return np.cumsum([0, *map(int, _POSITIONS_BY_GROUP.split())])


def primitive_multiplicity(group: int, place: Position) -> int:
    return place.multiplicity // len(centring(group))


def cell_slots(group: int) -> list[Slot]:
    return [Slot(role) for role in FREE_CELL[crystal_system(group)]]


def coordinate_slots(group: int, elements: Sequence[int], places: Sequence[int]) -> list[Slot]:
    """Slots of all free coordinates, for orbits given by element and position."""
    start = int(site_starts()[group - 1])
    return [
        Slot(COORDINATES[axis], element, 0, start + place, orbit)
        for orbit, (element, place) in enumerate(zip(elements, places, strict=True))
        for axis in range(positions(group)[place].free)
    ]


def cell_values(crystal: SymmetricCrystal) -> dict[Role, float]:
    """Volume per atom, axis ratios and angles of the conventional cell."""
    a, b, c, *angles = crystal.lattice
    atoms = primitive_atoms(crystal) * len(centring(crystal.group))
    volume = a * b * c * _skew(angles) / atoms
    return dict(zip(CELL, (volume, b / a, c / a, *angles), strict=True))


def _skew(angles: Sequence[float]) -> float:
    cosines = np.cos(np.radians(angles))
    return float(np.sqrt(max(1 - (cosines**2).sum() + 2 * cosines.prod(), 0.0)))


def cell_from_values(group: int, values: dict[Role, float], atoms: int) -> tuple[float, ...] | None:
    """Conventional cell from its free parameters, for this many atoms in it; None where the angles cannot meet."""
    system = crystal_system(group)
    angles = [values.get(role, 90.0) for role in ANGLES]
    if system == "hexagonal":
        angles[2] = 120.0
    b, c = (values.get(role, 1.0) for role in RATIOS)
    skew = _skew(angles)
    if skew < 0.05:
        return None
    a = (values[Role.VOLUME] * atoms / (b * c * skew)) ** (1 / 3)
    return (a, a * b, a * c, *angles)


def formula_of(crystal: SymmetricCrystal) -> list[tuple[int, int]]:
    """(atomic number, count in the primitive cell), heaviest first."""
    counts: dict[int, int] = {}
    for orbit in crystal.orbits:
        size = primitive_multiplicity(crystal.group, positions(crystal.group)[orbit.position])
        counts[orbit.number] = counts.get(orbit.number, 0) + size
    return sorted(counts.items(), reverse=True)


def _filled(crystal: SymmetricCrystal) -> Iterator[tuple[Slot, int]]:
    """Every slot after the start with the value that fills it."""
    group = crystal.group
    start, table = int(site_starts()[group - 1]), positions(group)
    yield Slot(Role.GROUP), group
    owed = dict(formula_of(crystal))
    for index, orbit in enumerate(crystal.orbits):
        yield Slot(Role.POSITION, orbit.number, owed[orbit.number], NO_SITE, index), start + orbit.position
        owed[orbit.number] -= primitive_multiplicity(group, table[orbit.position])
    values = cell_values(crystal)
    for slot in cell_slots(group):
        yield slot, CELL_BINS[slot.role].index(values[slot.role])
    slots = coordinate_slots(group, [o.number for o in crystal.orbits], [o.position for o in crystal.orbits])
    yield from zip(slots, (step for orbit in crystal.orbits for step in orbit.free), strict=True)


def prompt_rows(formula: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Input rows of the formula alone."""
    return [[Role.FORMULA, number, count, number, NO_SITE, 0, 0, 0, NO_SITE, 0, -1, 0] for number, count in formula]


def row(slot: Slot, value: int, count: int, following: Slot, target: int) -> list[int]:
    """Input row of a filled slot, told what follows."""
    site = value if slot.role == Role.POSITION else slot.site
    told = [following.role, following.element, following.owed, following.site, following.orbit]
    return [slot.role, VALUE_AT[slot.role] + value, count, slot.element, site, *told, target, slot.orbit]


def rows(crystal: SymmetricCrystal) -> npt.NDArray[np.int16]:
    """All input rows of a crystal with their targets: (T, COLUMNS)."""
    formula = formula_of(crystal)
    filled = list(_filled(crystal))
    table = prompt_rows(formula)
    before, value, count = Slot(Role.START), 0, sum(n for _, n in formula)
    for slot, target in filled:
        table.append(row(before, value, count, slot, target))
        before, value, count = slot, target, 0
    return np.array(table, dtype=np.int16)


@cache
def site_features() -> npt.NDArray[np.float32]:
    """What distinguishes Wyckoff positions across groups: (SITES + 1, 25), the last row for none."""
    table = np.zeros((SITES + 1, 25), dtype=np.float32)
    index = 0
    for group in range(1, GROUPS + 1):
        for place in positions(group):
            size = primitive_multiplicity(group, place)
            phase = 2 * np.pi * place.base[0] / UNIT
            order = len(centring(group)) * np.log2(1 + positions(group)[-1].multiplicity / place.multiplicity)
            free = np.eye(4)[place.free]
            span = place.basis[0] * (np.arange(3) < place.free)
            cells = len(centring(group))
            scalars = (np.log2(size), 1 / size, order / 4, group / GROUPS, np.log2(cells), place.free / 3)
            table[index] = (*scalars, *free, *np.cos(phase), *np.sin(phase), *span.ravel())
            index += 1
    return table
