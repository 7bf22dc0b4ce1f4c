"""A crystal while it is written atom by atom: what is asked for next, what may come, and the finished crystal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from workers.crystals import Crystal, from_arrays
from workers.generator.materium.clearance import Clearance, Floats, Guess, edge_products, guessed, reaches
from workers.generator.materium.owed import FIRST, Formula, Owed, SpeciesTable, Wish
from workers.generator.materium.tokens import (
    CELL,
    COORDINATES,
    LENGTHS,
    NUMBERS,
    SPECIES_AT,
    STEERED,
    Role,
    Special,
    Vocabulary,
    condition_row,
    formula_rows,
    row,
)
from workers.generator.sampler import DeadEnd, Head, Ints, Mask, Room
from workers.symbols import SYMBOLS

PROMPTS = (8, 16)  # slots for conditions, the formula's elements and START
AFTER = 8  # slots beside the atoms'
ATOMS = (8, 12, 16, 20, 28, 40, 52, 64)  # for which tiles have room
WIDE, NARROWER = 1.1, 0.85
LIKELY = 0.95  # share of the distances that is asked for while the cell's end is only guessed
NEAR = 6  # bins of a number that lie within three times its blur

ALL = np.ones(1 << 14, dtype=np.bool_)
ALL.flags.writeable = False

NEXT = {Role.SPECIES: Role.X, Role.X: Role.Y, Role.Y: Role.Z, Role.Z: Role.SPECIES}
NEXT |= dict(zip(CELL, CELL[1:], strict=False))


@dataclass(frozen=True)
class Book:
    """What every draft of a model looks up."""

    vocabulary: Vocabulary
    species: SpeciesTable
    radii: Floats  # Å, by atomic number
    values: Mapping[Role, Floats]  # what the bins of each number stand for
    formula_without: bool  # whether guidance compares with a prompt that still has the formula


@dataclass
class Memory:
    """What one attempt at a crystal leaves to the next: the cell that it came to when its atoms were too close.

    Where that cell left no place for an atom, the next attempt asks for less room around each.
    """

    guess: Guess | None = None
    full: bool = False
    share: float = WIDE  # of the distance that is asked for in the end

    def again(self) -> None:
        """Begin another attempt."""
        if self.full:
            self.full, self.share = False, NARROWER * self.share


@dataclass(frozen=True)
class Plan:
    """What one draft is to become: its atoms, what the prompt says of them, what it is steered towards."""

    wish: Wish
    formula: Formula  # as the prompt has it; empty where it is open
    wanted: Mapping[Role, float] = field(default_factory=dict)  # conditions on their scales
    memory: Memory = field(default_factory=Memory, compare=False)


class Draft:
    """One crystal being written; `fill` raises DeadEnd where it cannot be finished."""

    def __init__(self, plan: Plan, book: Book) -> None:
        self.plan, self.book = plan, book
        plan.memory.again()
        self.owed = Owed(plan.wish, book.species)
        self.numbers: list[int] = []
        self.points: list[list[int]] = []
        self.cell: list[float] = []
        self.clearance: Clearance | None = None
        self.closing = False  # whether the likeliest last angle was looked at
        self.position = self.begin
        self.before = row(Role.ATOMS, Special.ATOMS)
        self.role: Role | None = Role.SPECIES

    @property
    def done(self) -> bool:
        return self.role is None

    @property
    def begin(self) -> int:
        """Rows of the whole prompt."""
        return len(self.plan.wanted) + len(self.plan.formula) + 1

    @property
    def room(self) -> Room:
        wish = self.plan.wish
        atoms = wish.most_atoms
        if wish.formula is not None:
            atoms = max(wish.units) * sum(count for _, count in wish.formula)
        prompt = next(slots for slots in PROMPTS if slots >= self.begin)
        return prompt, prompt + AFTER + 4 * next(size for size in ATOMS if size >= atoms)

    @property
    def steps(self) -> int | None:
        wish = self.plan.wish
        if wish.formula is None or len(wish.units) != 1:
            return None
        atoms = wish.units[0] * sum(count for _, count in wish.formula)
        return (1 + len(COORDINATES)) * atoms + 1 + len(CELL)

    def prompt(self, conditioned: bool) -> list[list[int]]:
        """Conditions, formula and START; what is left out leaves its positions empty."""
        vocabulary, wanted = self.book.vocabulary, self.plan.wanted if conditioned else {}
        steered = [role for role in STEERED if role in wanted]
        formula = self.plan.formula if conditioned or self.book.formula_without else ()
        begin = self.begin - 1 - len(steered) - len(formula)
        found = [condition_row(vocabulary, role, wanted[role], begin + i) for i, role in enumerate(steered)]
        found += formula_rows(vocabulary, formula, begin + len(found))
        return [*found, row(Role.START, Special.START, 0, begin + len(found))]

    def row(self) -> list[int]:
        return [*self.before[:-1], self.position]

    def head(self) -> Head:
        assert self.role is not None
        return self.book.vocabulary.head(self.role)

    def reach(self) -> int | None:
        return None if self.role == Role.SPECIES else NEAR

    def allowed(self) -> Mask | None:
        return self.owed.mask if self.role == Role.SPECIES else None

    def accepts(self, candidates: Ints) -> Mask:
        if self.role == Role.Z:
            return self._places(candidates)
        if self.clearance is None or self.role not in CELL:
            return ALL[: len(candidates)]
        return self._cell_parameters(self.role, self.book.values[self.role][candidates])

    def fill(self, value: int, offset: float) -> None:
        assert self.role is not None
        role, self.position = self.role, self.position + 1
        self.role = NEXT.get(role)
        if role == Role.SPECIES:
            self._take(value)
            return
        self.before = row(role, self.book.vocabulary.starts[role] + value)
        if role in COORDINATES:
            self.points[-1].append(value)
            if role == Role.Z and not self.owed.mask.any():
                raise DeadEnd("no species may follow and the atoms cannot end")
        else:
            self.cell.append(float(self.book.values[role][value]))

    def _places(self, candidates: Ints) -> Mask:
        """Which last coordinates put an atom where there is none, nor close by in the cell of the attempt before."""
        free = np.ones(len(candidates), dtype=np.bool_)
        for point in self.points[:-1]:
            if point[:2] == self.points[-1]:
                free &= candidates != point[2]
        guess = self.plan.memory.guess
        if guess is None or len(self.points) < 2:
            return free
        places = np.empty((len(candidates), 3), dtype=np.int64)
        places[:] = [*self.points[-1], 0]
        places[:, 2] = candidates
        radii = self.book.radii[self.numbers]
        there = self._coords(np.array(self.points[:-1]))
        around = self.plan.memory.share * reaches(radii[-1], radii[:-1])
        fits: Mask = free & guess.fits(self._coords(places), there, around)
        self.plan.memory.full = not fits.any()
        return fits

    def _cell_parameters(self, role: Role, values: Floats) -> Mask:
        """Which values of a cell's parameter leave room for the atoms, as far as can be seen."""
        assert self.clearance is not None
        if role == Role.GAMMA:
            return self._cells(values)
        fine = np.ones(len(values), dtype=np.bool_)
        if role in LENGTHS:
            fine = self.clearance.edges(values)
        if role == Role.C:
            fine &= self.clearance.volumes(edge_products(self.cell, values))
        guess = self.plan.memory.guess
        return fine if guess is None else fine & self.clearance.cells(guess.completed(self.cell, values), LIKELY)

    def _cells(self, values: Floats) -> Mask:
        """Which last angles make a cell that keeps the atoms apart."""
        assert self.clearance is not None
        cells = np.tile([*self.cell, 0.0], (len(values), 1))
        cells[:, -1] = values
        fine = self.clearance.cells(cells)
        if not (fine.any() or self.closing) and self.plan.formula:
            self.plan.memory.guess = guessed(cells[0]) or self.plan.memory.guess
        self.closing = True
        return fine

    def crystal(self) -> Crystal:
        """The finished crystal."""
        symbols = [SYMBOLS[number - 1] for number in self.numbers]
        return from_arrays(self.cell, symbols, self._coords(np.array(self.points)))

    def _take(self, value: int) -> None:
        if value == 0:
            self.role, self.before = Role.A, row(Role.LATTICE, Special.LATTICE)
            self.clearance = Clearance(self._coords(np.array(self.points)), self.book.radii[self.numbers])
            return
        place = value - FIRST
        self.before = row(Role.SPECIES, SPECIES_AT + place, self.owed.take(place))
        self.numbers.append(self.owed.last)
        self.points.append([])

    def _coords(self, points: Ints) -> Floats:
        return np.stack([self.book.values[role][points[:, i]] for i, role in enumerate(COORDINATES)], axis=1)


def number_values(vocabulary: Vocabulary) -> dict[Role, Floats]:
    """What the bins of each number stand for."""
    return {role: vocabulary.grids[role].values() for role in NUMBERS}
