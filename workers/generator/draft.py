"""A crystal while it is written: the slot to fill next, what may fill it, and the finished crystal."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workers.generator.clearance import Floats, Room
from workers.generator.grammar import (
    ANGLES,
    CELL_BINS,
    COORDINATES,
    Role,
    Slot,
    cell_from_values,
    cell_slots,
    coordinate_slots,
    row,
    site_starts,
)
from workers.generator.orbits import Orbit, SymmetricCrystal
from workers.generator.placement import choices, holds, places
from workers.spacegroups import GROUPS, Ints, centring, positions

Mask = npt.NDArray[np.bool_]


class DeadEnd(Exception):
    """Nothing may fill the next slot: {0}."""


class Draft:
    """One crystal being written, orbit by orbit; `fill` raises DeadEnd where it cannot be finished."""

    def __init__(self, formula: Sequence[tuple[int, int]], radii: Floats, space_group: int | None) -> None:
        self.formula = list(formula)
        self.radii = radii
        self.group = 0
        self.wanted_group = space_group
        self.owed = [count for _, count in formula]
        self.elements: list[int] = []  # of each orbit
        self.positions: list[int] = []
        self.used: frozenset[int] = frozenset()
        self.cell: dict[Role, float] = {}
        self.lattice: tuple[float, ...] = ()
        self.room: Room | None = None
        self.free: list[list[int]] = []
        self.waiting: list[Slot] = []
        self.before, self.value = Slot(Role.START), 0
        self.slot: Slot | None = Slot(Role.GROUP)

    @property
    def done(self) -> bool:
        return self.slot is None

    def row(self) -> list[int]:
        """Model input that asks for the next slot."""
        assert self.slot is not None
        count = sum(n for _, n in self.formula) if self.before.role == Role.START else 0
        return row(self.before, self.value, count, self.slot, -1)

    def allowed(self) -> Mask | None:
        """Which values of the slot's head may fill it; None for all that `accepts` accepts."""
        assert self.slot is not None
        if self.slot.role == Role.GROUP:
            mask = np.zeros(GROUPS + 1, dtype=np.bool_)
            mask[self.wanted_group if self.wanted_group else slice(1, None)] = True
            return mask
        if self.slot.role == Role.POSITION:
            mask = np.zeros(len(positions(self.group)), dtype=np.bool_)
            mask[list(choices(self.group, *self._state()))] = True
            return mask
        return None

    def accepts(self, candidates: Ints) -> Mask:
        """Which of some values would not end in a conflict that can be seen now."""
        assert self.slot is not None
        if self.slot.role == Role.GROUP:
            return np.array([holds(int(group), tuple(self.owed)) for group in candidates])
        if self._ends_orbit():
            assert self.room is not None
            orbit = self.slot.orbit
            given = np.array([self.free[orbit]], dtype=np.int64).repeat(len(candidates), axis=0)
            free = np.concatenate([given, candidates[:, None]], axis=1)
            return self.room.fits(self.elements[orbit], self.positions[orbit], free)
        return np.ones(len(candidates), dtype=np.bool_)

    def fill(self, value: int) -> None:
        """Put a value into the slot and turn to the next one."""
        assert self.slot is not None
        slot, self.before, self.value = self.slot, self.slot, value
        if slot.role == Role.GROUP:
            self.group = value
        elif slot.role == Role.POSITION:
            self._place(value)
            self.value = int(site_starts()[self.group - 1]) + value
        elif slot.role in COORDINATES:
            self._move(slot.orbit, value)
        else:
            self.cell[slot.role] = CELL_BINS[slot.role].value(value)
        self.slot = self._next()

    def crystal(self) -> SymmetricCrystal:
        orbits = zip(self.elements, self.positions, self.free, strict=True)
        return SymmetricCrystal(self.group, self.lattice, tuple(Orbit(n, p, tuple(free)) for n, p, free in orbits))

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
        if table.single[position]:
            self.used |= {position}

    def _move(self, orbit: int, value: int) -> None:
        ends = self._ends_orbit()
        self.free[orbit].append(value)
        if ends:
            assert self.room is not None
            self.room.place(self.elements[orbit], self.positions[orbit], tuple(self.free[orbit]))

    def _ends_orbit(self) -> bool:
        slot = self.slot
        if slot is None or slot.role not in COORDINATES:
            return False
        return len(self.free[slot.orbit]) + 1 == positions(self.group)[self.positions[slot.orbit]].free

    def _next(self) -> Slot | None:
        current = next((i for i, count in enumerate(self.owed) if count), None)
        if current is not None:
            return Slot(Role.POSITION, self.formula[current][0], self.owed[current], orbit=len(self.positions))
        if not self.cell:
            self.waiting = cell_slots(self.group)
        elif not self.waiting and self.room is None:
            self._close_cell()
            self.waiting = coordinate_slots(self.group, self.elements, self.positions)
        return self.waiting.pop(0) if self.waiting else None

    def _close_cell(self) -> None:
        atoms = sum(count for _, count in self.formula) * len(centring(self.group))
        lattice = cell_from_values(self.group, self.cell, atoms)
        if lattice is None:
            raise DeadEnd(f"no cell has the angles {', '.join(f'{self.cell[role]:g}' for role in ANGLES)}")
        self.lattice = lattice
        self.room = Room(self.group, lattice, self.radii)
        table = positions(self.group)
        for element, position in zip(self.elements, self.positions, strict=True):
            if not table[position].free:
                if not self.room.fits(element, position, np.zeros((1, 0), dtype=np.int64))[0]:
                    raise DeadEnd("atoms on fixed positions are too close")
                self.room.place(element, position, ())


def site_slice(group: int) -> slice:
    """The group's Wyckoff positions among those of all groups."""
    start = int(site_starts()[group - 1])
    return slice(start, start + int(site_starts()[group] - start))
