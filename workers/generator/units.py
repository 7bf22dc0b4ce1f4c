"""How many formula units a primitive cell holds, as often as known crystals have it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from workers.generator.symmetry.vocabulary import MAX_ATOMS

PATTERN = 8  # amounts of a formula, largest first, filled up with zeros
PRIOR = 2.0  # crystals' worth of what all formulas with as many atoms do
LEAST = 1e-3
COLDEST = 0.2  # below this temperature the choice is no sharper

Arrays = Mapping[str, npt.NDArray[np.generic]]
Pattern = tuple[int, ...]


def _pattern(amounts: Iterable[int]) -> Pattern:
    found = sorted(amounts, reverse=True)
    return (*found, *[0] * (PATTERN - len(found)))


def count_units(formulas: Iterable[Sequence[int]]) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays for a checkpoint from the numbers of atoms by element in known primitive cells.

    `units`: crystals by atoms in a formula unit and units; `patterns`: the amounts of formulas that occur, and
    `pattern_units`: crystals by pattern and units.
    """
    by_atoms = np.zeros((MAX_ATOMS + 1, MAX_ATOMS + 1), dtype=np.float32)
    by_pattern: dict[Pattern, npt.NDArray[np.float32]] = {}
    for counts in formulas:
        units = int(np.gcd.reduce(counts))
        by_atoms[sum(counts) // units, units] += 1
        if len(counts) <= PATTERN:
            row = by_pattern.setdefault(_pattern(n // units for n in counts), np.zeros(MAX_ATOMS + 1, dtype=np.float32))
            row[units] += 1
    patterns = sorted(by_pattern)
    return {
        "units": by_atoms,
        "patterns": np.array(patterns, dtype=np.int16).reshape(-1, PATTERN),
        "pattern_units": np.array([by_pattern[p] for p in patterns], dtype=np.float32).reshape(-1, MAX_ATOMS + 1),
    }


class UnitCounts:
    """What a checkpoint's arrays say of the number of units."""

    def __init__(self, arrays: Arrays) -> None:
        self.by_atoms = np.asarray(arrays["units"], dtype=np.float64)
        patterns = np.asarray(arrays["patterns"]).tolist() if "patterns" in arrays else []
        self.rows = {tuple(pattern): row for row, pattern in enumerate(patterns)}
        self.by_pattern = np.asarray(arrays.get("pattern_units", np.zeros((0, MAX_ATOMS + 1))), dtype=np.float64)

    def choose(self, amounts: Sequence[int], fitting: Sequence[int], temperature: float, draw: float) -> int:
        """One of the fitting numbers of units, for a draw from 0 to 1."""
        weights = self.by_atoms[sum(amounts), list(fitting)] + LEAST
        weights *= PRIOR / weights.sum()
        row = self.rows.get(_pattern(amounts))
        if row is not None:
            weights += self.by_pattern[row, list(fitting)]
        share = np.cumsum((weights / weights.max()) ** (1 / max(temperature, COLDEST)))
        return int(fitting[int(np.searchsorted(share / share[-1], draw))])
