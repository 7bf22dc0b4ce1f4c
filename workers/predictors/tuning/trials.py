"""How good a learner is on rows that it had not seen: scores, and how its doubt is to be read."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from workers.cards import Json
from workers.predictors.benchmark.scores import score_classes
from workers.predictors.calibration import (
    Certainty,
    Recalibration,
    level_area,
    rank_correlation,
    recalibrate,
    score_logit,
    spearman,
)
from workers.predictors.tuning.learner import Trials

_DIGITS = 5
_BINS = 10  # of probabilities
_FREE = 1e6  # a regression of two numbers needs no restraint


@dataclass(frozen=True, slots=True)
class Reliability:
    """Shares that were expected and shares that were found (k,), and the area between them; each half of the rows is
    judged by what the other half taught."""

    expected: np.ndarray
    found: np.ndarray
    area: float


def score(trials: Trials, classification: bool) -> Json:
    """Scores of rows told by members that had not seen them, numbers in the units of the target."""
    reliability = judge(trials, classification)
    if classification:
        return {**score_classes(trials.truths, trials.values), "calibration_error": round(reliability.area, 4)}
    errors = trials.values - trials.truths
    return {
        "mae": _rounded(np.abs(errors).mean()),
        "rmse": _rounded(np.sqrt(np.square(errors).mean())),
        "spearman": _rounded(spearman(trials.values, trials.truths)),
        "mae_of_the_median": _rounded(np.abs(trials.truths - np.median(trials.truths)).mean()),
        "miscalibration_area": round(reliability.area, 4),
        "spearman_error_std": _rounded(rank_correlation(errors, trials.stds)),
    }


def shape_of(trials: Trials) -> Recalibration:
    """The shape of the errors in units of the standard deviations that are told."""
    return recalibrate(trials.values - trials.truths, trials.stds)


def certainty_of(trials: Trials) -> Certainty:
    """How sure the scores make of the second class."""
    model = LogisticRegression(C=_FREE).fit(score_logit(trials.values)[:, None], trials.truths > 0.5)
    return Certainty(float(model.coef_[0, 0]), float(model.intercept_[0]))


def judge(trials: Trials, classification: bool) -> Reliability:
    """How far what is told of the doubt holds."""
    places = np.argsort(np.argsort(trials.truths, kind="stable"))  # both halves have rows of both classes
    halves = [places % 2 == side for side in (0, 1)]
    levels = np.empty(len(trials.truths))
    for learned, judged in (halves, halves[::-1]):
        levels[judged] = (_chances if classification else _levels)(_of(trials, learned), _of(trials, judged))
    return _by_bins(levels, trials.truths) if classification else _by_width(levels)


def _levels(learned: Trials, judged: Trials) -> np.ndarray:
    return shape_of(learned).cumulative(judged.truths, judged.values, judged.stds)


def _chances(learned: Trials, judged: Trials) -> np.ndarray:
    return certainty_of(learned).probability(judged.values)


def _by_width(levels: np.ndarray) -> Reliability:
    """The share of truths inside central intervals of each probability."""
    expected = np.linspace(0.01, 0.99, 99)
    inner = np.sort(2 * np.abs(levels - 0.5))
    return Reliability(expected, np.searchsorted(inner, expected, side="right") / len(inner), level_area(levels))


def _by_bins(chances: np.ndarray, truths: np.ndarray) -> Reliability:
    """The share of the second class among rows of like probability; bins of as many rows each."""
    groups = np.array_split(np.argsort(chances, kind="stable"), _BINS)
    expected, found = (np.array([column[group].mean() for group in groups]) for column in (chances, truths))
    return Reliability(expected, found, float(np.abs(expected - found).mean()))


def _of(trials: Trials, rows: np.ndarray) -> Trials:
    return Trials(trials.truths[rows], trials.values[rows], trials.stds[rows])


def _rounded(value: float) -> float:
    """To so many digits, whatever the unit."""
    return float(f"{value:.{_DIGITS}g}")
