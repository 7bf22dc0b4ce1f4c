"""A table to be learned: compositions with one target each, and how targets are turned into what networks learn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workers.errors import InvalidFormula
from workers.predictors.table import MASK
from workers.predictors.tokens import identity, read_amounts

_WIDE = 30.0  # positive targets whose 95th percentile is so many times the 5th are learned as logarithms


@dataclass(frozen=True, slots=True)
class Sheet:
    """Tokens (n, T) padded with MASK, shares (n, T), identities (n,) and targets (n,); classes are 0 and 1.

    An element that the vocabulary lacks is an unknown token with a known share.
    """

    numbers: np.ndarray
    shares: np.ndarray
    names: np.ndarray
    targets: np.ndarray
    classification: bool

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: np.ndarray) -> "Sheet":
        """Some rows."""
        names, targets = self.names[rows], self.targets[rows]
        return Sheet(self.numbers[rows], self.shares[rows], names, targets, self.classification)


def read_sheet(
    formulas: Sequence[str], targets: Sequence[float], elements: Sequence[str], classification: bool
) -> tuple[Sheet, np.ndarray]:
    """The sheet of formulas that spell compositions and have finite targets, and which they are (n,)."""
    places = {symbol: place for place, symbol in enumerate(elements, start=1)}
    amounts = [_amounts(formula) for formula in formulas]
    values = np.asarray(targets, dtype=np.float64)
    kept = np.array([row for row, found in enumerate(amounts) if found and np.isfinite(values[row])], dtype=np.int64)
    width = max((len(amounts[row]) for row in kept), default=1)
    numbers = np.full((len(kept), width), MASK, dtype=np.int16)
    shares = np.zeros((len(kept), width), dtype=np.float32)
    for place, row in enumerate(kept):
        found = sorted(amounts[row].items(), key=lambda item: places.get(item[0], MASK))
        total = sum(amount for _, amount in found)
        numbers[place, : len(found)] = [places.get(symbol, MASK) for symbol, _ in found]
        shares[place, : len(found)] = [amount / total for _, amount in found]
    names = np.array([identity(amounts[row]) for row in kept], dtype=np.str_)
    return Sheet(numbers, shares, names, values[kept], classification), kept


def _amounts(formula: str) -> dict[str, float]:
    try:
        return read_amounts(formula.replace(" ", ""))
    except InvalidFormula:
        return {}


def merge(sheet: Sheet) -> Sheet:
    """One row a composition: the median of its targets, or the class of most of its rows, the lower one at a tie."""
    names, first, inverse = np.unique(sheet.names, return_index=True, return_inverse=True)
    middle = np.array([np.median(part) for part in _grouped(sheet.targets, inverse, len(names))])
    return replace(sheet.take(first), targets=np.floor(middle) if sheet.classification else middle)


def count_repeats(sheet: Sheet) -> tuple[int, int]:
    """How many compositions have several rows, and how many of those have rows that differ."""
    names, inverse = np.unique(sheet.names, return_inverse=True)
    groups = _grouped(sheet.targets, inverse, len(names))
    repeated = [group for group in groups if len(group) > 1]
    return len(repeated), sum(bool(np.ptp(group) > 0) for group in repeated)


def join(sheets: Sequence[Sheet]) -> Sheet:
    """The rows of one sheet or more, one after another."""
    width = max(sheet.numbers.shape[1] for sheet in sheets)
    padded = [
        np.concatenate([np.pad(array, ((0, 0), (0, width - array.shape[1]))) for array in arrays])
        for arrays in ([sheet.numbers for sheet in sheets], [sheet.shares for sheet in sheets])
    ]
    names, targets = (np.concatenate([getattr(sheet, name) for sheet in sheets]) for name in ("names", "targets"))
    return Sheet(padded[0], padded[1], names, targets, sheets[0].classification)


def _grouped(values: np.ndarray, groups: np.ndarray, count: int) -> list[np.ndarray]:
    order = np.argsort(groups, kind="stable")
    parts = np.split(values[order], np.cumsum(np.bincount(groups, minlength=count))[:-1])
    return parts[:count]  # of no groups, split makes one


def inner_folds(sheet: Sheet, folds: int, seed: int) -> np.ndarray:
    """A fold number (n,) for each row, classes and compositions in mind: no composition is in two folds."""
    rng = np.random.default_rng([seed, folds])
    names, first, inverse = np.unique(sheet.names, return_index=True, return_inverse=True)
    draws = rng.permutation(len(names)).astype(np.float64)
    if sheet.classification:  # one class after the other, each spread evenly over the folds
        draws += len(names) * (sheet.targets[first] > 0.5)
    places = np.empty(len(names), dtype=np.int64)
    places[np.argsort(draws)] = np.arange(len(names)) % folds
    found: np.ndarray = places[inverse]
    return found


@dataclass(frozen=True, slots=True)
class Transform:
    """From targets to what networks learn, and back: a logarithm where targets are positive and spread over decades,
    then units of the mean deviation from the median. Classes stay as they are."""

    logarithmic: bool
    centre: float
    spread: float

    def forward(self, targets: np.ndarray) -> np.ndarray:
        """Targets (n,) as networks learn them."""
        values = np.log(np.maximum(targets, 1e-300)) if self.logarithmic else targets
        return (values - self.centre) / self.spread

    def backward(self, values: np.ndarray) -> np.ndarray:
        """What networks tell (n,) in the units of the targets."""
        found = values * self.spread + self.centre
        return np.exp(found) if self.logarithmic else found

    def slope(self, values: np.ndarray) -> np.ndarray:
        """Units of the target in one unit of what networks tell, there (n,)."""
        steady = np.full(len(values), self.spread)
        return steady * self.backward(values) if self.logarithmic else steady


def choose_transform(sheet: Sheet) -> Transform:
    """The transform that the targets of training rows ask for; raises ValueError where they are all the same."""
    targets = sheet.targets
    if not len(targets) or np.ptp(targets) == 0:
        raise ValueError(f"the target is constant over {len(targets)} rows: there is nothing to learn")
    if sheet.classification:
        return Transform(False, 0.0, 1.0)
    low, high = np.quantile(targets, (0.05, 0.95))
    logarithmic = bool(targets.min() > 0 and high > _WIDE * low)
    values = np.log(targets) if logarithmic else targets
    centre = float(np.median(values))
    return Transform(logarithmic, centre, float(np.abs(values - centre).mean()))
