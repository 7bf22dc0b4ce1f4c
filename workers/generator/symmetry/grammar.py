"""The symmetry grammar: which token follows which, and what a model is told about the token to come.

conditions · reduced formula (element, amount, likely oxidation state; heaviest first) · start · formula units in the
primitive cell · space group · for each element the Wyckoff positions of its orbits · free lattice parameters (volume
per atom first) · free coordinates of each orbit. What the formula, the group or the lattice system leaves no choice
about is not a token. A formula is proposed in a sequence of its own: conditions · start · element, amount, … · end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd

import numpy as np
import numpy.typing as npt
from pymatgen.core import Element

from workers.generator.conditions import CONDITIONS, scaled
from workers.generator.symmetry.orbits import SymmetricCrystal, primitive_atoms
from workers.generator.symmetry.vocabulary import (
    ANGLES,
    CELL,
    CELL_BINS,
    CONDITION_AT,
    COORDINATES,
    FINEST,
    FREE_CELL,
    GROUP_AT,
    LEVELS,
    NO_SITE,
    PADDING,
    RATIOS,
    SITES,
    VALUE_AT,
    Column,
    Role,
    site_starts,
)
from workers.oxidation import likely_states
from workers.spacegroups import GROUPS, UNIT, Position, centring, crystal_system, positions

Formula = list[tuple[int, int]]  # (atomic number, amount), heaviest first


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one token: its role and what is known before it is filled."""

    role: Role
    element: int = 0
    owed: int = 0
    site: int = NO_SITE
    orbit: int = 0


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


def formula_of(crystal: SymmetricCrystal) -> Formula:
    """(atomic number, count in the primitive cell), heaviest first."""
    counts: dict[int, int] = {}
    for orbit in crystal.orbits:
        size = primitive_multiplicity(crystal.group, positions(crystal.group)[orbit.position])
        counts[orbit.number] = counts.get(orbit.number, 0) + size
    return sorted(counts.items(), reverse=True)


def _filled(crystal: SymmetricCrystal, units: int) -> Iterator[tuple[Slot, int, float]]:
    """Every slot after the start with the value that fills it and its offset in bins."""
    group = crystal.group
    start, table = int(site_starts()[group - 1]), positions(group)
    yield Slot(Role.UNITS), units, 0.0
    yield Slot(Role.GROUP), group, 0.0
    owed = dict(formula_of(crystal))
    for index, orbit in enumerate(crystal.orbits):
        yield Slot(Role.POSITION, orbit.number, owed[orbit.number], NO_SITE, index), start + orbit.position, 0.0
        owed[orbit.number] -= primitive_multiplicity(group, table[orbit.position])
    values = cell_values(crystal)
    for slot in cell_slots(group):
        yield slot, *CELL_BINS[slot.role].place(values[slot.role])
    slots = coordinate_slots(group, [o.number for o in crystal.orbits], [o.position for o in crystal.orbits])
    steps = [step for orbit in crystal.orbits for step in zip(orbit.free, orbit.offsets, strict=True)]
    yield from ((slot, *step) for slot, step in zip(slots, steps, strict=True))


def condition_rows(wanted: Mapping[str, float], group: int | None) -> list[list[int]]:
    """Input rows of what a crystal is steered towards, the group last as in training."""
    levels = [
        CONDITION_AT + LEVELS * index + min(int(scaled(c.name, wanted[c.name]) * LEVELS), LEVELS - 1)
        for index, c in enumerate(CONDITIONS)
        if c.name in wanted
    ]
    return [_prompt_row(Role.CONDITION, value) for value in [*levels, *([GROUP_AT + group] if group else [])]]


def _prompt_row(role: Role, value: int) -> list[int]:
    found = list(PADDING)
    found[Column.ROLE], found[Column.VALUE] = role, value
    return found


def formula_rows(formula: Formula) -> list[list[int]]:
    """Input rows of a reduced formula with the oxidation states that are likely."""
    symbols = tuple(str(Element.from_Z(number).symbol) for number, _ in formula)
    states = likely_states(symbols, tuple(amount for _, amount in formula)) or (None,) * len(formula)
    found = []
    for (number, amount), state in zip(formula, states, strict=True):
        line = _prompt_row(Role.FORMULA, number)
        line[Column.COUNT], line[Column.ELEMENT] = amount, number
        line[Column.OXIDATION] = 0 if state is None else state + 10
        found.append(line)
    return found


def row(slot: Slot, value: int, count: int, following: Slot) -> list[int]:
    """Input row of a filled slot, told what follows."""
    site = value if slot.role == Role.POSITION else slot.site
    told = [following.role, following.element, following.owed, following.site, following.orbit]
    return [slot.role, VALUE_AT[slot.role] + value, count, slot.element, site, *told, -1, slot.orbit, 0, 0]


def rows(crystal: SymmetricCrystal) -> npt.NDArray[np.int16]:
    """All input rows of a crystal with their targets, without conditions: (T, COLUMNS)."""
    cell = formula_of(crystal)
    units = gcd(*(count for _, count in cell))
    formula = [(number, count // units) for number, count in cell]
    table = formula_rows(formula)
    before, value, count = Slot(Role.START), 0, sum(n for _, n in formula)
    for slot, target, offset in _filled(crystal, units):
        line = row(before, value, count, slot)
        line[Column.TARGET], line[Column.OFFSET] = target, round(offset * FINEST)
        table.append(line)
        before, value, count = slot, target, 0
    return np.array(table, dtype=np.int16)


def proposal_rows(formula: Formula) -> npt.NDArray[np.int16]:
    """Input rows that propose a reduced formula, with their targets: (2 n + 1, COLUMNS)."""
    table, before, value = [], Slot(Role.PROPOSE), 0
    for number, amount in [*formula, (0, 0)]:
        for slot, target in ((Slot(Role.ELEMENT), number), (Slot(Role.AMOUNT, number), amount))[: 2 if number else 1]:
            table.append(row(before, value, 0, slot))
            table[-1][Column.TARGET] = target
            before, value = slot, target
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
