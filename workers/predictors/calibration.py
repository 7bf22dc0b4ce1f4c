"""How far standard deviations can be trusted, and what makes them so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import erfinv

_LEVELS = np.linspace(0.01, 0.99, 99)
_KNOTS = np.concatenate(([0.002, 0.005], np.linspace(0.01, 0.99, 50), [0.995, 0.998]))
_GROUP = 400  # errors that a group of like standard deviations needs for a shape of its own
_MOST_GROUPS = 8
_SUREST = 1e-3
_ONE_SIGMA = (0.158655, 0.841345)


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The shape of the errors in units of the predicted standard deviation, as learned from rows held out.

    Errors have heavier tails than a normal distribution, and those of small standard deviations another shape than
    those of large ones (a metal that is surely one has no error at all), so that no factor can mend them. By group of
    standard deviations, parted at `edges` (groups - 1,), `shape` (groups, knots) holds quantiles of (truth - value) /
    std. After V. Kuleshov et al., ICML 2018.
    """

    edges: np.ndarray
    shape: np.ndarray

    def cumulative(self, bounds: np.ndarray, values: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """The probability (n,) that the truth lies below bounds (n,), for values and standard deviations (n,)."""
        found = np.empty(len(values))
        ratios = (bounds - values) / stds
        groups = self._groups(stds)
        for group, quantiles in enumerate(self.shape):
            rows = groups == group
            found[rows] = _place(ratios[rows], quantiles)
        return found

    def between(self, low: float, high: float, values: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """The probability (n,) that the truth lies from low to high."""
        ends = [np.full(len(values), end) for end in (low, high)]
        below, upto = (self.cumulative(end, values, stds) for end in ends)
        return np.asarray(np.clip(upto - below, 0.0, 1.0))

    def widths(self, stds: np.ndarray) -> np.ndarray:
        """Half the width (n,) of the interval that holds the middle 68 % of the errors: the honest std."""
        low, high = (np.array([np.interp(level, _KNOTS, row) for row in self.shape]) for level in _ONE_SIGMA)
        widths: np.ndarray = np.maximum((high - low) / 2, 1e-3)[self._groups(stds)] * stds
        return widths

    def _groups(self, stds: np.ndarray) -> np.ndarray:
        return np.asarray(np.searchsorted(self.edges, stds))

    def to_json(self) -> dict[str, object]:
        """The recalibration as JSON values, for a card."""
        return {"edges": self.edges.tolist(), "shape": np.round(self.shape, 5).tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[float]]) -> "Recalibration":
        """The recalibration that to_json wrote."""
        return cls(np.array(data["edges"], dtype=np.float64), np.array(data["shape"], dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Certainty:
    """How sure a score of the second of two classes makes of that class: slope and offset of a logistic function of the
    score's logit (J. Platt, 1999)."""

    slope: float
    offset: float

    def cumulative(self, bounds: np.ndarray, values: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """The probability (n,) that the class, 0 or 1, lies below bounds (n,), for scores (n,)."""
        second = self.probability(values)
        return np.where(bounds < 0, 0.0, np.where(bounds < 1, 1 - second, 1.0))

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """The probability (n,) of the second class."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * score_logit(scores) + self.offset))))


def score_logit(scores: np.ndarray) -> np.ndarray:
    """Scores (n,) as logits, those next to 0 and 1 kept finite."""
    inner = np.clip(scores, _SUREST, 1 - _SUREST)
    return np.asarray(np.log(inner / (1 - inner)))


def recalibrate(errors: np.ndarray, stds: np.ndarray) -> Recalibration:
    """Learn the shape of errors (value - truth) from rows held out of training, in groups of like std."""
    groups = int(np.clip(len(errors) // _GROUP, 1, _MOST_GROUPS))
    edges = np.unique(np.quantile(stds, np.arange(1, groups) / groups, method="lower"))
    edges = edges[edges < stds.max()]  # equal standard deviations are one group
    member = np.searchsorted(edges, stds)
    ratios = -errors / stds
    parts = [ratios[member == group] for group in range(len(edges) + 1)]
    return Recalibration(edges, np.stack([np.quantile(part, _KNOTS) for part in parts]))


def _place(ratios: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """The level of ratios among quantiles, the middle of a jump; beyond the last knots the rest fades as a Laplace
    distribution's."""
    nudge = 1e-9 * np.maximum(np.abs(quantiles).max(), 1.0)
    inside = (np.interp(ratios - nudge, quantiles, _KNOTS) + np.interp(ratios + nudge, quantiles, _KNOTS)) / 2
    scale = max(float(quantiles[-1] - quantiles[0]) / (2 * np.log(1 / (2 * _KNOTS[0]))), 1e-9)
    below = _KNOTS[0] * np.exp(-np.maximum(quantiles[0] - ratios, 0.0) / scale)
    above = 1 - (1 - _KNOTS[-1]) * np.exp(-np.maximum(ratios - quantiles[-1], 0.0) / scale)
    found: np.ndarray = np.where(ratios < quantiles[0], below, np.where(ratios > quantiles[-1], above, inside))
    return found


def level_area(levels: np.ndarray) -> float:
    """The miscalibration area, 0 to 0.5, of the levels that truths have in their predicted distributions."""
    inner = np.sort(2 * np.abs(levels - 0.5))
    observed = np.searchsorted(inner, _LEVELS, side="right") / len(inner)
    return float(np.abs(observed - _LEVELS).mean())


def miscalibration(errors: np.ndarray, stds: np.ndarray) -> float:
    """Area between the expected and the observed share of errors inside central normal intervals, 0 to 0.5.

    After V. Kuleshov et al., ICML 2018, and the area of K. Tran et al., Mach. Learn.: Sci. Technol. 1, 025006 (2020).
    """
    bounds = sqrt(2.0) * erfinv(_LEVELS)
    ratios = np.sort(np.abs(errors) / stds)
    observed = np.searchsorted(ratios, bounds, side="right") / len(ratios)
    return float(np.abs(observed - _LEVELS).mean())


def rank_correlation(errors: np.ndarray, stds: np.ndarray) -> float:
    """Spearman's correlation of absolute errors with standard deviations."""
    return spearman(np.abs(errors), stds)


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of two columns (n,); 0 where one is constant."""
    ranks = _ranks(first), _ranks(second)
    return float(np.corrcoef(*ranks)[0, 1]) if all(np.ptp(rank) > 0 for rank in ranks) else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (n,), equal values sharing their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
