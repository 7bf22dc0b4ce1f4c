"""Tokens of a crystal written atom by atom: species with oxidation state, three coordinates each, then the cell.

`[conditions] START ATOMS (species x y z)… LATTICE a b c α β γ` (Dobberstein and Hamaekers, arXiv 2512.07486).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from workers.generator.conditions import CONDITIONS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Head = tuple[int, int]

ELEMENTS = 104  # atomic numbers, with a place for none
HEAVIEST = 99
MOST_OF_ONE = 64  # atoms of one element in a cell
GROUPS = 231
MILLION = 1_000_000  # a condition's value is written in millionths
ORDERS = ("low", "high", "xyz", "random")


class Role(IntEnum):
    """What a row says."""

    PADDING = 0
    START = 1
    ATOMS = 2
    SPECIES = 3
    X = 4
    Y = 5
    Z = 6
    LATTICE = 7
    A = 8
    B = 9
    C = 10
    ALPHA = 11
    BETA = 12
    GAMMA = 13
    ELEMENT = 14
    GROUP = 15
    DENSITY = 16
    BAND_GAP = 17
    HHI = 18
    BULK_MODULUS = 19
    MAGNETIZATION_DENSITY = 20


class Column(IntEnum):
    """What a row is made of."""

    ROLE = 0
    VALUE = 1  # place in the table of values, which goes on with the space groups and a row for none
    OWED = 2  # atoms of a species' element that are still to come, with this one; 0 where the formula is open
    PAIR = 3  # of a formula's element: atomic number and amount in one
    AMOUNT = 4  # a condition's value in millionths
    POSITION = 5


class Special(IntEnum):
    """Values that are neither species nor numbers."""

    PADDING = 0
    START = 1
    END = 2
    LATTICE = 3
    ATOMS = 4


COORDINATES = (Role.X, Role.Y, Role.Z)
LENGTHS = (Role.A, Role.B, Role.C)
ANGLES = (Role.ALPHA, Role.BETA, Role.GAMMA)
CELL = (*LENGTHS, *ANGLES)
NUMBERS = (*COORDINATES, *CELL)
STEERED = (Role.DENSITY, Role.GROUP, Role.BAND_GAP, Role.HHI, Role.BULK_MODULUS, Role.MAGNETIZATION_DENSITY)
SCALARS = tuple(Role[condition.name.upper()] for condition in CONDITIONS)  # in the order of the registry
SPECIES_AT = len(Special)


@dataclass(frozen=True, slots=True)
class Grid:
    """Bins of a number. `circle`: 0 is a bin and 1 is again 0; `line` and `log`: both ends are bins; `cells`: the
    middles of equal cells."""

    kind: str
    count: int
    low: float = 0.0
    high: float = 1.0

    def values(self) -> Floats:
        """What each bin stands for: (count,)."""
        steps = np.arange(self.count, dtype=np.float64)
        if self.kind == "circle":
            return steps / self.count
        if self.kind == "cells":
            return self.low + (self.high - self.low) * (steps + 0.5) / self.count
        share = steps / (self.count - 1)
        if self.kind == "log":
            found: Floats = self.low * (self.high / self.low) ** share
            return found
        return self.low + (self.high - self.low) * share

    def bins(self, values: npt.ArrayLike) -> Ints:
        """The bins closest to some values; what lies beyond the ends gets the last bin."""
        x = np.asarray(values, dtype=np.float64)
        if self.kind == "circle":
            return np.rint(x * self.count).astype(np.int64) % self.count
        if self.kind == "log":
            share = np.log(x / self.low) / np.log(self.high / self.low)
        else:
            share = (x - self.low) / (self.high - self.low)
        place = np.floor(share * self.count) if self.kind == "cells" else np.rint(share * (self.count - 1))
        return np.asarray(np.clip(place, 0, self.count - 1), dtype=np.int64)


COORDINATE = Grid("circle", 960)  # a multiple of 24: all that symmetry fixes is a bin
LENGTH = Grid("log", 1024, 1.5, 120.0)  # Å
ANGLE = Grid("line", 961, 30.0, 150.0)  # degrees; 60, 90 and 120 are bins
GRIDS = {**dict.fromkeys(COORDINATES, COORDINATE), **dict.fromkeys(LENGTHS, LENGTH), **dict.fromkeys(ANGLES, ANGLE)}


@dataclass(frozen=True)
class Vocabulary:
    """Species by place, and the grids of numbers with where each begins in the table of values."""

    species: tuple[tuple[int, int], ...]  # (atomic number, oxidation state), sorted
    grids: Mapping[Role, Grid]
    starts: Mapping[Role, int]

    @property
    def size(self) -> int:
        return max(self.starts[role] + self.grids[role].count for role in NUMBERS)

    @property
    def group_at(self) -> int:
        """Where the space groups follow, in the table of inputs."""
        return self.size

    @property
    def nothing(self) -> int:
        """The row of zeros at the end of the table of inputs."""
        return self.size + GROUPS

    def head(self, role: Role) -> Head:
        """The values that compete in a role; where a species may stand the atoms may also end."""
        if role in NUMBERS:
            return self.starts[role], self.grids[role].count
        return Special.LATTICE, SPECIES_AT - Special.LATTICE + len(self.species)


def own_vocabulary(species: npt.NDArray[np.generic]) -> Vocabulary:
    """Numbers on their own grids, those of one kind in one table; species as rows of number and state."""
    rows = tuple((int(number), int(state)) for number, state in species)
    at = SPECIES_AT + len(rows)
    starts = dict.fromkeys(COORDINATES, at)
    starts |= dict.fromkeys(LENGTHS, at + COORDINATE.count)
    starts |= dict.fromkeys(ANGLES, at + COORDINATE.count + LENGTH.count)
    return Vocabulary(rows, GRIDS, starts)


def shared_vocabulary(species: npt.NDArray[np.generic], bins: int, ranges: Mapping[str, Sequence[float]]) -> Vocabulary:
    """All numbers in one table of bins, as Materium has it; ranges in Å and degrees by the name of a role."""
    rows = tuple((int(number), int(state)) for number, state in species)
    grids = {role: Grid("cells", bins) for role in COORDINATES}
    grids |= {role: Grid("cells", bins, *map(float, ranges[role.name.lower()])) for role in CELL}
    return Vocabulary(rows, grids, dict.fromkeys(NUMBERS, SPECIES_AT + len(rows)))


def blank(vocabulary: Vocabulary) -> list[int]:
    """A row that says nothing."""
    return [Role.PADDING, vocabulary.nothing, 0, 0, 0, 0]


def row(role: Role, value: int, owed: int = 0, position: int = 0) -> list[int]:
    """A row that writes a value of the table."""
    return [role, value, owed, 0, 0, position]


def condition_row(vocabulary: Vocabulary, role: Role, value: float, position: int) -> list[int]:
    """A row for a space group or for a quantity on its scale."""
    if role == Role.GROUP:
        return row(role, vocabulary.group_at + round(value), 0, position)
    return [role, vocabulary.nothing, 0, 0, round(value * MILLION), position]


def formula_rows(vocabulary: Vocabulary, formula: Sequence[tuple[int, int]], begin: int) -> list[list[int]]:
    """A row for each element and its amount, from this position on."""
    return [
        [Role.ELEMENT, vocabulary.nothing, 0, pair(number, count), 0, begin + i]
        for i, (number, count) in enumerate(formula)
    ]


def pair(number: int, count: int) -> int:
    """An element and its amount as one place."""
    return number * (MOST_OF_ONE + 1) + count
