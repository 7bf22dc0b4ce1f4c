"""Every value that a token of the symmetry grammar can have, and the columns of a model's input row."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from workers.generator.conditions import CONDITIONS

GROUPS = 230
GRID = 960  # steps of a coordinate, a multiple of 24: special positions and all translations are whole numbers
ELEMENTS = 119  # atomic numbers, 0 for none
MAX_ATOMS = 64  # in a primitive cell


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
    UNITS = 14
    CONDITION = 15
    PROPOSE = 16
    ELEMENT = 17
    AMOUNT = 18


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

    def place(self, value: float) -> tuple[int, float]:
        """A value's bin, and how far it lies from the middle in bins."""
        low, high, value = np.log((self.low, self.high, value)) if self.log else (self.low, self.high, value)
        place = (value - low) / (high - low) * self.count
        index = int(min(max(place, 0), self.count - 1))
        return index, min(max(place - index - 0.5, -0.5), 0.5)

    def value(self, index: int, offset: float = 0.0) -> float:
        share = (index + 0.5 + offset) / self.count
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
UNITS_AT = COORDINATE_AT + GRID
AMOUNT_AT = UNITS_AT + MAX_ATOMS + 1
CONDITION_AT = AMOUNT_AT + MAX_ATOMS + 1
LEVELS = 64  # bins of each scalar condition
VALUES = CONDITION_AT + LEVELS * len(CONDITIONS)
VALUE_AT = {
    Role.FORMULA: 0, Role.START: 0, Role.PROPOSE: 0, Role.ELEMENT: 0, Role.AMOUNT: AMOUNT_AT, Role.UNITS: UNITS_AT,
    Role.GROUP: GROUP_AT, Role.POSITION: SITE_AT, Role.VOLUME: VOLUME_AT,
    **dict.fromkeys(RATIOS, RATIO_AT), **dict.fromkeys(ANGLES, ANGLE_AT), **dict.fromkeys(COORDINATES, COORDINATE_AT),
}  # fmt: skip

NEAR_HULL, ANY_STABILITY = 0, UNITS_AT  # how a sequence starts: MP-20 keeps to 0.08 eV/atom of the convex hull

HEADS = {
    Role.UNITS: (UNITS_AT, MAX_ATOMS + 1),
    Role.ELEMENT: (0, ELEMENTS),
    Role.AMOUNT: (AMOUNT_AT, MAX_ATOMS + 1),
    Role.GROUP: (GROUP_AT, GROUPS + 1),
    Role.VOLUME: (VOLUME_AT, VOLUME.count),
    **dict.fromkeys((Role.B_TO_A, Role.C_TO_A), (RATIO_AT, RATIO.count)),
    **dict.fromkeys((Role.ALPHA, Role.BETA, Role.GAMMA), (ANGLE_AT, ANGLE.count)),
    **dict.fromkeys((Role.FIRST, Role.SECOND, Role.THIRD), (COORDINATE_AT, GRID)),
}  # where the values of each kind of token stand, and how many there are


class Column(IntEnum):
    """One row of model input: the token itself, then what is known of the token to come."""

    ROLE = 0
    VALUE = 1
    COUNT = 2  # atoms in a formula unit: of the element, or of all at the start
    ELEMENT = 3
    SITE = 4
    NEXT_ROLE = 5
    NEXT_ELEMENT = 6
    NEXT_OWED = 7  # atoms of the element not yet placed, in the primitive cell
    NEXT_SITE = 8
    NEXT_ORBIT = 9
    TARGET = 10  # the next token's value within its kind, -1 where nothing is predicted
    ORBIT = 11  # which orbit the token itself belongs to
    OXIDATION = 12  # of the formula's element, from -9, 0 where none is likely
    OFFSET = 13  # of the next token's number from the middle of its bin, in FINEST of a bin


COLUMNS = len(Column)
NO_SITE = SITES
FINEST = 1000
STATES = 20
PADDING = [NO_SITE if column in (Column.SITE, Column.NEXT_SITE) else 0 for column in Column]
PADDING[Column.TARGET] = -1


@cache
def site_starts() -> npt.NDArray[np.int64]:
    """Index of each group's first Wyckoff position among those of all groups, by number: (231,), and the end."""
    return np.cumsum([0, *map(int, _POSITIONS_BY_GROUP.split())])
