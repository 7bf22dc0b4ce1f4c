"""Batches of crystals of about equal length, in the model's order, conditions shown or hidden anew each time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.generator.batches import bundles
from workers.generator.materium.tables import Crystals
from workers.generator.materium.tokens import (
    COORDINATES,
    MILLION,
    NUMBERS,
    SCALARS,
    SPECIES_AT,
    STEERED,
    Column,
    Role,
    Special,
    Vocabulary,
    blank,
    condition_row,
    formula_rows,
    row,
)

UNCONDITIONED = 0.5  # share of crystals without any condition but the formula
SHOWN = 0.5  # of the others, share of the known conditions that are shown
OPEN = 0.1  # share of crystals whose formula is hidden too
AFTER = 8  # rows of a crystal beside its atoms' and the prompt's: START, ATOMS, LATTICE, five of the cell
LOOSE = 3.0  # rows that a batch's crystals may differ in length by chance

Ints = npt.NDArray[np.int64]
Rows = list[list[int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows (B, T, COLUMNS) filled up at their ends, places of what comes next (B, T) or -1, its role, and lengths."""

    rows: Tensor
    targets: Tensor
    roles: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.rows)


class Reader:
    """Crystals as rows."""

    def __init__(self, crystals: Crystals, vocabulary: Vocabulary, order: str) -> None:
        self.crystals, self.vocabulary, self.order = crystals, vocabulary, order
        self.species = {pair: i for i, pair in enumerate(vocabulary.species)}

    def batches(self, members: Ints, budget: int, rng: np.random.Generator, steered: bool = True) -> Iterator[Batch]:
        """All these crystals, at most `budget` rows in a batch, in random order of batches."""
        prompts = [self.prompt(int(m), rng, steered) for m in members]
        starts = self.crystals.starts
        lengths = np.array([len(p) for p in prompts]) + 4 * (starts[members + 1] - starts[members]) + AFTER
        for chosen in bundles(lengths, budget, LOOSE, rng):
            yield self.batch([(int(members[i]), prompts[i]) for i in chosen], rng)

    def prompt(self, member: int, rng: np.random.Generator, steered: bool) -> Rows:
        """A crystal's formula and conditions, as far as they are shown this time."""
        found: Rows = []
        if steered and rng.random() >= UNCONDITIONED:
            known = self.known(member)
            for role in STEERED:
                if role in known and rng.random() < SHOWN:
                    found.append(condition_row(self.vocabulary, role, known[role], len(found)))
        if steered and rng.random() < OPEN:
            return found
        numbers, counts = np.unique(self.crystals.numbers[self.atoms(member)], return_counts=True)
        formula = list(zip(numbers.tolist(), counts.tolist(), strict=True))[::-1]
        return found + formula_rows(self.vocabulary, formula, len(found))

    def known(self, member: int) -> dict[Role, float]:
        """The conditions whose values are known."""
        values = zip(SCALARS, self.crystals.wanted[member].tolist(), strict=True)
        found = {role: round(value * MILLION) / MILLION for role, value in values if value == value}
        group = int(self.crystals.groups[member])
        return found | ({Role.GROUP: float(group)} if group else {})

    def atoms(self, member: int) -> slice:
        return slice(int(self.crystals.starts[member]), int(self.crystals.starts[member + 1]))

    def arranged(self, member: int, rng: np.random.Generator) -> Ints:
        """A crystal's atoms in the order in which they are written."""
        atoms = np.arange(self.atoms(member).start, self.atoms(member).stop)
        if self.order == "random":
            return rng.permutation(atoms)
        if self.order == "low":
            return atoms[np.argsort(self.crystals.numbers[atoms], kind="stable")]
        return atoms[np.lexsort(self.crystals.points[atoms].T[::-1])] if self.order == "xyz" else atoms

    def batch(self, chosen: list[tuple[int, Rows]], rng: np.random.Generator) -> Batch:
        """Some crystals with their prompts."""
        tables = [self.rows(member, prompt, rng) for member, prompt in chosen]
        longest = max(len(targets) for _, targets, _ in tables)
        rows = np.tile(np.array(blank(self.vocabulary)), (len(tables), longest, 1))
        targets, roles = (np.full((len(tables), longest), fill) for fill in (-1, int(Role.PADDING)))
        for i, (own, wanted, asked) in enumerate(tables):
            rows[i, : len(own)], targets[i, : len(own)], roles[i, : len(own)] = own, wanted, asked
        lengths = torch.tensor([len(own) for own, _, _ in tables])
        return Batch(torch.from_numpy(rows), torch.from_numpy(targets), torch.from_numpy(roles), lengths)

    def rows(self, member: int, prompt: Rows, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
        """Rows (T, COLUMNS) of a crystal, the places of what comes next and its role, both (T,)."""
        atoms = self.arranged(member, rng)
        written, asked = self.written(atoms, member)
        shown = any(line[Column.ROLE] == Role.ELEMENT for line in prompt)
        owed = _owed(self.crystals.numbers[atoms]) if shown else np.zeros(len(atoms), dtype=np.int64)
        begin = len(prompt)
        table = np.zeros((begin + 1 + len(written), len(Column)), dtype=np.int64)
        table[:begin] = np.array(prompt, dtype=np.int64).reshape(begin, len(Column))
        table[begin] = row(Role.START, Special.START)
        table[begin + 1 :, Column.ROLE], table[begin + 1 :, Column.VALUE] = asked, written
        table[begin + 2 : begin + 2 + 4 * len(atoms) : 4, Column.OWED] = owed
        table[:, Column.POSITION] = np.arange(len(table))
        targets = np.full(len(table), -1)
        targets[begin + 1 : -1] = written[1:]
        roles = np.zeros(len(table), dtype=np.int64)
        roles[begin + 1 : -1] = np.where(asked[1:] == Role.LATTICE, Role.SPECIES, asked[1:])
        return table[:-1], targets[:-1], roles[:-1]

    def written(self, atoms: Ints, member: int) -> tuple[Ints, Ints]:
        """Places in the table of values from ATOMS to the cell's end, and their roles."""
        crystals, vocabulary = self.crystals, self.vocabulary
        pairs = zip(crystals.numbers[atoms].tolist(), crystals.states[atoms].tolist(), strict=True)
        table = np.empty((len(atoms), 4), dtype=np.int64)
        table[:, 0] = [SPECIES_AT + self.species.get((z, s), self.species[z, 0]) for z, s in pairs]
        table[:, 1:] = crystals.points[atoms] + vocabulary.starts[COORDINATES[0]]
        cell = [vocabulary.starts[r] + int(b) for r, b in zip(NUMBERS[3:], crystals.cells[member], strict=True)]
        values = np.concatenate([[Special.ATOMS], table.ravel(), [Special.LATTICE], cell])
        repeated = np.tile([Role.SPECIES, *COORDINATES], len(atoms))
        return values, np.concatenate([[Role.ATOMS], repeated, [Role.LATTICE], NUMBERS[3:]])


def _owed(numbers: npt.NDArray[np.int16]) -> Ints:
    """For each atom, how many of its element are still to come, with itself."""
    same = numbers[:, None] == numbers
    return np.asarray(np.triu(same).sum(axis=1), dtype=np.int64)
