"""Which species may still be written: exact stoichiometry, the model's order, charges that can add up to zero."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from workers.generator.materium.tokens import SPECIES_AT, Special, Vocabulary

Mask = npt.NDArray[np.bool_]
Formula = tuple[tuple[int, int], ...]  # (atomic number, atoms in a formula unit)

FIRST = SPECIES_AT - Special.LATTICE  # of the species in their head, which begins with the end of the atoms
STEEPEST = 4  # charge that one more atom is sure to be able to bring


@dataclass(frozen=True)
class SpeciesTable:
    """A vocabulary's species as arrays, and the places of each element's."""

    numbers: npt.NDArray[np.int64]
    charges: npt.NDArray[np.int64]
    places: Mapping[int, npt.NDArray[np.int64]] = field(compare=False)


def species_table(vocabulary: Vocabulary) -> SpeciesTable:
    numbers, charges = np.array(vocabulary.species, dtype=np.int64).reshape(-1, 2).T
    places = {int(z): np.flatnonzero(numbers == z) for z in np.unique(numbers)}
    return SpeciesTable(numbers, charges, places)


@dataclass(frozen=True)
class Wish:
    """What the atoms are to be: a formula with the numbers of units that may be chosen, or any formula."""

    formula: Formula | None
    units: tuple[int, ...]
    most_atoms: int
    order: str
    balanced: bool = False


class Owed:
    """Atoms counted while they are written."""

    def __init__(self, wish: Wish, table: SpeciesTable) -> None:
        self.wish, self.table = wish, table
        self.units = wish.units
        self.counts = dict.fromkeys((z for z, _ in wish.formula or ()), 0)
        self.order = sorted(self.counts, reverse=wish.order == "high")
        self.last = 0
        self.atoms = 0
        self.charge = 0
        self._mask: Mask | None = None  # until the next species is taken

    @property
    def mask(self) -> Mask:
        """The head of species: whether the atoms may end, then which species may come."""
        if self._mask is None:
            self._mask = self._masked()
        return self._mask

    def _masked(self) -> Mask:
        mask = np.zeros(FIRST + len(self.table.numbers), dtype=np.bool_)
        if self.wish.formula is None:
            mask[FIRST:] = self._open()
            mask[0] = self.atoms > 0 and not (self.wish.balanced and self.charge)
            return mask
        for number in self._elements():
            places = self.table.places[number]
            mask[FIRST + places] = self._neutral(number, places) if self.wish.balanced else True
        mask[0] = any(all(self.counts[z] == k * n for z, n in self.wish.formula) for k in self.units)
        return mask

    def left(self, number: int) -> int:
        """Atoms of an element that are still to come, where that is settled; else 0."""
        if self.wish.formula is None or len(self.units) != 1:
            return 0
        return self.units[0] * dict(self.wish.formula)[number] - self.counts[number]

    def take(self, place: int) -> int:
        """Count a species; returns what was still owed of its element, itself included."""
        self._mask = None
        number = int(self.table.numbers[place])
        if self.wish.formula is not None:
            self._settle(number)
        left = self.left(number)
        self.counts[number] = self.counts.get(number, 0) + 1
        self.charge += int(self.table.charges[place])
        self.atoms += 1
        self.last = number
        return left

    def _elements(self) -> list[int]:
        """The elements that may come next."""
        formula = dict(self.wish.formula or ())
        if self.wish.order not in ("low", "high"):
            fitting = [k for k in self.units if all(self.counts[z] <= k * n for z, n in formula.items())]
            return [z for z, n in formula.items() if any(self.counts[z] < k * n for k in fitting)]
        if not self.last:
            return self.order[:1]
        now = self.order.index(self.last)
        found = [self.last] if any(self.counts[self.last] < k * formula[self.last] for k in self.units) else []
        ended = any(self.counts[self.last] == k * formula[self.last] for k in self.units)
        return found + self.order[now + 1 : now + 2] if ended else found

    def _settle(self, number: int) -> None:
        """Keep the numbers of units that are still possible when this element comes next."""
        formula = dict(self.wish.formula or ())
        if self.wish.order in ("low", "high") and self.last and number != self.last:
            self.units = tuple(k for k in self.units if k * formula[self.last] == self.counts[self.last])
        self.units = tuple(k for k in self.units if self.counts[number] < k * formula[number])

    def _open(self) -> Mask:
        """Species for a formula that is open."""
        mask = np.full(len(self.table.numbers), self.atoms < self.wish.most_atoms)
        if self.last and self.wish.order == "high":
            mask &= self.table.numbers <= self.last
        if self.last and self.wish.order == "low":
            mask &= self.table.numbers >= self.last
        if self.wish.balanced:
            after = self.wish.most_atoms - self.atoms - 1
            mask &= np.abs(self.charge + self.table.charges) <= STEEPEST * after
        return mask

    def _neutral(self, number: int, places: npt.NDArray[np.int64]) -> Mask:
        """Which of an element's species leave a charge that the other atoms can make up for."""
        formula = dict(self.wish.formula or ())
        fine = np.zeros(len(places), dtype=np.bool_)
        for k in self.units:
            rest = [(z, k * n - self.counts[z] - (z == number)) for z, n in formula.items()]
            if any(n < 0 for _, n in rest):
                continue
            sums = _sums(tuple((tuple(self.table.charges[self.table.places[z]].tolist()), n) for z, n in rest))
            fine |= np.isin(-(self.charge + self.table.charges[places]), list(sums))
        return fine


@cache
def _sums(rest: tuple[tuple[tuple[int, ...], int], ...]) -> frozenset[int]:
    """All charges that so many atoms with these states can have together."""
    found = {0}
    for states, count in rest:
        for _ in range(count):
            found = {total + state for total in found for state in states}
    return frozenset(found)


def can_be_neutral(table: SpeciesTable, formula: Iterable[tuple[int, int]]) -> bool:
    """Whether some states of a formula unit's atoms add up to zero."""
    return 0 in _sums(tuple((tuple(table.charges[table.places[z]].tolist()), n) for z, n in formula))
