"""A crystal while it is written: the slot to fill next, what may fill it, and the finished crystal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from workers.generator.sampler import DeadEnd, Floats, Head, Mask, Room
from workers.generator.symmetry.clearance import Clearance
from workers.generator.symmetry.grammar import (
    Formula,
    Slot,
    cell_from_values,
    cell_slots,
    condition_rows,
    coordinate_slots,
    formula_rows,
    row,
)
from workers.generator.symmetry.orbits import Orbit, SymmetricCrystal
from workers.generator.symmetry.placement import choices, holds, places
from workers.generator.symmetry.vocabulary import (
    ANGLES,
    CELL,
    CELL_BINS,
    COORDINATES,
    GROUPS,
    HEADS,
    MAX_ATOMS,
    SITE_AT,
    Role,
    site_starts,
)
from workers.spacegroups import Ints, centring, positions

PROMPTS = (6, 14)  # slots for conditions and the formula's elements: of most requests, of any
SPANS = (50, 90, 170, 266)  # slots for the tokens
NEAR = 6  # bins of a number that lie within twice its blur, and a little more


@dataclass(frozen=True, slots=True)
class Plan:
    """What one draft is to become: a reduced formula, what is fixed of the cell, what it is steered towards."""

    formula: Formula
    units: tuple[int, ...]  # those that may be chosen
    space_group: int | None = None
    wanted: Mapping[str, float] = field(default_factory=dict)


class Draft:
    """One crystal being written, orbit by orbit; `fill` raises DeadEnd where it cannot be finished."""

    steps = None  # how many there will be shows at the end

    def __init__(self, plan: Plan, radii: Floats) -> None:
        self.plan, self.formula = plan, plan.formula
        self.radii = radii
        self.units = 0
        self.group = 0
        self.owed = [count for _, count in plan.formula]  # in a formula unit until their number is known
        self.elements: list[int] = []  # of each orbit
        self.positions: list[int] = []
        self.used: frozenset[int] = frozenset()
        self.cell: dict[Role, float] = {}
        self.lattice: tuple[float, ...] = ()
        self.clearance: Clearance | None = None
        self.free: list[list[int]] = []
        self.offsets: list[list[float]] = []
        self.waiting: list[Slot] = []
        self.before, self.value = Slot(Role.START), 0
        self.slot: Slot | None = Slot(Role.UNITS)

    @property
    def done(self) -> bool:
        return self.slot is None

    @property
    def room(self) -> Room:
        plan = self.plan
        rows = len(plan.wanted) + (plan.space_group is not None) + len(self.formula)
        atoms = max(plan.units) * sum(count for _, count in self.formula)
        needed = 3 + len(CELL) + 4 * atoms  # at most four tokens for an atom
        prompt = next(slots for slots in PROMPTS if slots >= rows)
        return prompt, prompt + next(slots for slots in SPANS if slots >= needed)

    def prompt(self, conditioned: bool) -> list[list[int]]:
        steered = condition_rows(self.plan.wanted, self.plan.space_group) if conditioned else []
        return steered + formula_rows(self.formula)

    def row(self) -> list[int]:
        assert self.slot is not None
        count = sum(n for _, n in self.formula) if self.before.role == Role.START else 0
        return row(self.before, self.value, count, self.slot)

    def head(self) -> Head:
        assert self.slot is not None
        if self.slot.role != Role.POSITION:
            return HEADS[self.slot.role]
        sites = site_slice(self.group)
        return SITE_AT + sites.start, sites.stop - sites.start

    def reach(self) -> int | None:
        assert self.slot is not None
        return NEAR if self.slot.role in COORDINATES or self.slot.role in CELL_BINS else None

    def allowed(self) -> Mask | None:
        assert self.slot is not None
        if self.slot.role == Role.UNITS:
            return _only(MAX_ATOMS + 1, self.plan.units)
        if self.slot.role == Role.GROUP:
            return _only(GROUPS + 1, (self.plan.space_group,) if self.plan.space_group else range(1, GROUPS + 1))
        if self.slot.role == Role.POSITION:
            return _only(len(positions(self.group)), choices(self.group, *self._state()))
        return None

    def accepts(self, candidates: Ints) -> Mask:
        assert self.slot is not None
        if self.slot.role == Role.GROUP:
            return np.array([holds(int(group), tuple(self.owed)) for group in candidates])
        if self._ends_orbit():
            assert self.clearance is not None
            orbit = self.slot.orbit
            given = np.array([self.free[orbit]], dtype=np.int64).repeat(len(candidates), axis=0)
            free = np.concatenate([given, candidates[:, None]], axis=1)
            return self.clearance.fits(self.elements[orbit], self.positions[orbit], free)
        return np.ones(len(candidates), dtype=np.bool_)

    def fill(self, value: int, offset: float) -> None:
        assert self.slot is not None
        slot, self.before, self.value = self.slot, self.slot, value
        if slot.role == Role.UNITS:
            self.units = value
            self.owed = [value * count for _, count in self.formula]
        elif slot.role == Role.GROUP:
            self.group = value
        elif slot.role == Role.POSITION:
            self._place(value)
            self.value = int(site_starts()[self.group - 1]) + value
        elif slot.role in COORDINATES:
            self._move(slot.orbit, value, offset)
        else:
            self.cell[slot.role] = CELL_BINS[slot.role].value(value, offset)
        self.slot = self._next()

    def crystal(self) -> SymmetricCrystal:
        """The finished crystal."""
        columns = zip(self.elements, self.positions, self.free, self.offsets, strict=True)
        orbits = tuple(Orbit(n, p, tuple(free), tuple(fine)) for n, p, free, fine in columns)
        return SymmetricCrystal(self.group, self.lattice, orbits)

    def _state(self) -> tuple[tuple[int, ...], int, frozenset[int]]:
        current = next(i for i, count in enumerate(self.owed) if count)
        same = self.elements and self.elements[-1] == self.formula[current][0]
        return tuple(self.owed[current:]), self.positions[-1] if same else 0, self.used

    def _place(self, position: int) -> None:
        table = places(self.group)
        current = next(i for i, count in enumerate(self.owed) if count)
        self.owed[current] -= table.sizes[position]
        self.elements.append(self.formula[current][0])
        self.positions.append(position)
        self.free.append([])
        self.offsets.append([])
        if table.single[position]:
            self.used |= {position}

    def _move(self, orbit: int, value: int, offset: float) -> None:
        ends = self._ends_orbit()
        self.free[orbit].append(value)
        self.offsets[orbit].append(offset)
        if ends:
            assert self.clearance is not None
            self.clearance.place(self.elements[orbit], self.positions[orbit], tuple(self.free[orbit]))

    def _ends_orbit(self) -> bool:
        slot = self.slot
        if slot is None or slot.role not in COORDINATES:
            return False
        return len(self.free[slot.orbit]) + 1 == positions(self.group)[self.positions[slot.orbit]].free

    def _next(self) -> Slot | None:
        if not self.group:
            return Slot(Role.GROUP)
        current = next((i for i, count in enumerate(self.owed) if count), None)
        if current is not None:
            return Slot(Role.POSITION, self.formula[current][0], self.owed[current], orbit=len(self.positions))
        if not self.cell:
            self.waiting = cell_slots(self.group)
        elif not self.waiting and self.clearance is None:
            self._close_cell()
            self.waiting = coordinate_slots(self.group, self.elements, self.positions)
        return self.waiting.pop(0) if self.waiting else None

    def _close_cell(self) -> None:
        atoms = self.units * sum(count for _, count in self.formula) * len(centring(self.group))
        lattice = cell_from_values(self.group, self.cell, atoms)
        if lattice is None:
            raise DeadEnd(f"no cell has the angles {', '.join(f'{self.cell[role]:g}' for role in ANGLES)}")
        self.lattice = lattice
        self.clearance = Clearance(self.group, lattice, self.radii)
        table = positions(self.group)
        for element, position in zip(self.elements, self.positions, strict=True):
            if not table[position].free:
                if not self.clearance.fits(element, position, np.zeros((1, 0), dtype=np.int64))[0]:
                    raise DeadEnd("atoms on fixed positions are too close")
                self.clearance.place(element, position, ())


def _only(size: int, values: Iterable[int]) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    mask[list(values)] = True
    return mask


def site_slice(group: int) -> slice:
    """The group's Wyckoff positions among those of all groups."""
    start = int(site_starts()[group - 1])
    return slice(start, start + int(site_starts()[group] - start))
