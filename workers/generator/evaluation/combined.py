"""One answer of two: what is predicted from the composition and from a structure, weighed by how sure each is, and by
whether the structure can be the one meant: one that lies far above the energy that its composition has is not."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]

NARROWEST = 1e-6  # of a standard deviation: one of zero would weigh infinitely
FARTHEST = 5.0  # standard deviations: an energy farther away says no more
PRIOR = 1e-2  # of the better one's mean error, by weight squared: holds weights that the materials say little about
ROUNDING = 0.05  # of that error, too: smaller errors are not told apart, so that their sum has a slope everywhere
STARTS = (-1.0, 0.0, 1.0)  # of the offset
ONE_SIGMA = 0.6827


@dataclass(frozen=True, slots=True)
class Column:
    """Values (n) of one property and their standard deviations (n)."""

    values: Floats
    stds: Floats


@dataclass(frozen=True, slots=True)
class Weighing:
    """The log-odds that a structure's answer is to be believed: an offset, a slope for the logarithm of the
    composition's standard deviation over the structure's, and by how many standard deviations the structure's formation
    energy lies above the composition's, or below; `stretch` makes a combined standard deviation hold 68 % of the
    errors."""

    offset: float = 0.0
    slope: float = 0.0
    above: float = 0.0
    below: float = 0.0
    stretch: float = 1.0

    def share(self, composition: Column, structure: Column, excess: Floats) -> Floats:
        """What the structure's answers count for (n), 0 to 1, by the excess (n) of their formation energies."""
        weights = np.array([self.offset, self.slope, self.above, self.below])
        return _share(weights, _signs(composition, structure, excess))

    def combine(self, composition: Column, structure: Column, excess: Floats) -> Column:
        """The combined answers; their variance is that of a mixture of the two."""
        share, gap = self.share(composition, structure, excess), structure.values - composition.values
        variance = (1 - share) * composition.stds**2 + share * structure.stds**2 + share * (1 - share) * gap**2
        return Column(composition.values + share * gap, self.stretch * np.sqrt(variance))


def excess(composition: Column, structure: Column) -> Floats:
    """How far (n) the structures' formation energies lie above the compositions', in these' standard deviations."""
    found = (structure.values - composition.values) / np.maximum(composition.stds, NARROWEST)
    return np.asarray(np.clip(found, -FARTHEST, FARTHEST))


def fit(composition: Column, structure: Column, excess: Floats, truth: Floats) -> Weighing:
    """The weighing with the smallest mean absolute error on materials whose truth (n) is known."""
    signs = _signs(composition, structure, excess)
    gap, error = structure.values - composition.values, truth - composition.values
    scale = max(min(float(np.abs(found).mean()) for found in (error, error - gap)), NARROWEST)

    def loss(weights: Floats) -> tuple[float, Floats]:
        share = _share(weights, signs)
        left = error - share * gap
        size = np.hypot(left, ROUNDING * scale)
        slope = -(left / size * gap * share * (1 - share)) @ signs / (len(gap) * scale)
        return float(size.mean()) / scale + PRIOR * float(weights @ weights), slope + 2 * PRIOR * weights

    starts = [np.array([start, 0.0, 0.0, 0.0]) for start in STARTS]
    best = min((minimize(loss, start, jac=True, method="L-BFGS-B") for start in starts), key=lambda found: found.fun)
    plain = Weighing(*best.x.round(4).tolist())
    both = plain.combine(composition, structure, excess)
    ratios = np.abs(both.values - truth) / np.maximum(both.stds, NARROWEST)
    return replace(plain, stretch=round(float(np.quantile(ratios, ONE_SIGMA)), 4))


def _signs(composition: Column, structure: Column, excess: Floats) -> Floats:
    """What tells which answer to believe (n, 4)."""
    own, other = (np.maximum(column.stds, NARROWEST) for column in (composition, structure))
    return np.stack([np.ones(len(own)), np.log(own / other), np.maximum(excess, 0), np.maximum(-excess, 0)], axis=1)


def _share(weights: Floats, signs: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(signs @ weights, -30.0, 30.0))))
