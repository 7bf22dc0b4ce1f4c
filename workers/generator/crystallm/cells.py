"""What a conventional cell holds: the primitive cell's formula units and its centring, as often as known crystals."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

PATTERN = 8  # amounts of a formula, largest first, filled up with zeros
PRIOR = 2.0  # crystals' worth of what all formulas with as many atoms do
LEAST = 1e-3
COLDEST = 0.2  # below this temperature the choice is no sharper

Arrays = Mapping[str, npt.NDArray[np.generic]]
Content = tuple[int, int]  # formula units in the primitive cell, primitive cells in the conventional one
Pattern = tuple[int, ...]


def _pattern(amounts: Iterable[int]) -> Pattern:
    found = sorted(amounts, reverse=True)
    return (*found, *[0] * (PATTERN - len(found)))


def count_cells(cells: Iterable[tuple[Sequence[int], int]]) -> dict[str, npt.NDArray[np.generic]]:
    """Array `cells` for a checkpoint from the numbers of atoms by element in known primitive cells and their centring.

    A row is a formula's amounts, units, centring and how many crystals have them: (n, PATTERN + 3).
    """
    found: Counter[tuple[int, ...]] = Counter()
    for counts, centring in cells:
        units = int(np.gcd.reduce(counts))
        if len(counts) <= PATTERN:
            found[(*_pattern(n // units for n in counts), units, centring)] += 1
    rows = [(*key, count) for key, count in sorted(found.items())]
    return {"cells": np.array(rows, dtype=np.int32).reshape(-1, PATTERN + 3)}


class CellCounts:
    """What a checkpoint's arrays say of conventional cells; without them all are alike."""

    def __init__(self, arrays: Arrays) -> None:
        self.by_pattern: dict[Pattern, Counter[Content]] = {}
        self.by_atoms: dict[int, Counter[Content]] = {}
        for *pattern, units, centring, count in np.asarray(arrays.get("cells", np.zeros((0, PATTERN + 3)))).tolist():
            self.by_pattern.setdefault(tuple(pattern), Counter())[units, centring] += count
            self.by_atoms.setdefault(sum(pattern), Counter())[units, centring] += count

    def choose(self, amounts: Sequence[int], fitting: Sequence[Content], temperature: float, draw: float) -> Content:
        """One of the fitting contents, for a draw from 0 to 1."""
        similar = self.by_atoms.get(sum(amounts), Counter())
        weights = np.array([similar[content] + LEAST for content in fitting])
        weights *= PRIOR / weights.sum()
        own = self.by_pattern.get(_pattern(amounts), Counter())
        weights += np.array([own[content] for content in fitting])
        share = np.cumsum((weights / weights.max()) ** (1 / max(temperature, COLDEST)))
        return fitting[int(np.searchsorted(share / share[-1], draw))]
