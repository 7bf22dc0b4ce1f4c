"""The convex hull of known phases: what a composition would decompose into, and at which energy."""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linprog

SAME = 1e-4  # atomic fractions closer than this are one composition


class Hull:
    """Phases as rows of up to w elements: atomic numbers (k, w), 0 where unused, their atomic fractions (k, w), and
    formation energies (k) in eV/atom. The elements themselves are phases of energy 0."""

    def __init__(self, numbers: np.ndarray, fractions: np.ndarray, energies: np.ndarray) -> None:
        self.numbers = numbers.astype(np.int64)
        self.fractions = fractions.astype(np.float64)
        self.energies = energies.astype(np.float64)
        self._low, self._high = (np.bitwise_or.reduce(bits, axis=1) for bits in _bits(self.numbers))

    def energy(self, amounts: Mapping[int, float], without_own: bool = False) -> float:
        """The formation energy in eV/atom of the most stable mixture of known phases with these amounts by atomic
        number; phases of the very same composition can be left out."""
        elements = np.array(sorted(amounts))
        target = np.array([amounts[z] for z in elements]) / sum(amounts.values())
        rows = self._phases(elements)
        fractions = self._table(rows, elements)
        if without_own:
            others = np.abs(fractions - target).max(axis=1) > SAME
            rows, fractions = rows[others], fractions[others]
        costs = np.concatenate([self.energies[rows], np.zeros(len(elements))])
        mixture = np.concatenate([fractions, np.eye(len(elements))]).T
        return float(linprog(costs, A_eq=mixture, b_eq=target, method="highs").fun)

    def holds(self, amounts: Mapping[int, float]) -> bool:
        """Whether there is a phase with these amounts by atomic number."""
        if len(amounts) == 1:
            return True
        elements = np.array(sorted(amounts))
        target = np.array([amounts[z] for z in elements]) / sum(amounts.values())
        fractions = self._table(self._phases(elements), elements)
        return bool((np.abs(fractions - target).max(axis=1) < SAME).any())

    def _phases(self, elements: np.ndarray) -> np.ndarray:
        """The rows that hold none but these elements."""
        low, high = (np.bitwise_or.reduce(bits) for bits in _bits(elements))
        return np.flatnonzero(((self._low & ~low) | (self._high & ~high)) == 0)

    def _table(self, rows: np.ndarray, elements: np.ndarray) -> np.ndarray:
        """Atomic fractions of the phases in the order of the elements."""
        return np.stack([(self.fractions[rows] * (self.numbers[rows] == z)).sum(axis=1) for z in elements], axis=1)


def _bits(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each atomic number as one bit of two words; 0 as none."""
    one = np.uint64(1)
    shift = (numbers % 64).astype(np.uint64)
    low = np.where((numbers > 0) & (numbers < 64), one << shift, np.uint64(0))
    return low, np.where(numbers >= 64, one << shift, np.uint64(0))
