"""Scores of a task's test rows, each by its own name.

MatBench's published "ROC-AUC" of its classification tasks is balanced accuracy, because its scorer turns probabilities
into labels first: both are given here.
"""

import numpy as np

from workers.predictors.calibration import Recalibration, level_area, miscalibration, rank_correlation

Scores = dict[str, float]


def score_classes(targets: np.ndarray, chances: np.ndarray) -> Scores:
    """Balanced accuracy, area under the ROC curve and F1 of the second class, for probabilities (n,)."""
    truth, told = targets > 0.5, chances > 0.5
    hits = [(told[truth == side] == side).mean() for side in (True, False)]
    true_positives = float((truth & told).sum())
    return {
        "balanced_accuracy": round(float(np.mean(hits)), 5),
        "roc_auc": round(area_under_curve(truth, chances), 5),
        "f1": round(2 * true_positives / max(float(truth.sum() + told.sum()), 1.0), 5),
    }


def area_under_curve(truth: np.ndarray, chances: np.ndarray) -> float:
    """How often a row of the second class has the larger probability, a tie counting half."""
    values, places, counts = np.unique(chances, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def score_stability(targets: np.ndarray, values: np.ndarray) -> Scores:
    """Precision, recall, F1 and accuracy of calling compositions stable, by decomposition energies of at most zero."""
    truth, told = targets <= 0, values <= 0
    both = float((truth & told).sum())
    return {
        "stable_precision": round(both / max(float(told.sum()), 1.0), 5),
        "stable_recall": round(both / max(float(truth.sum()), 1.0), 5),
        "stable_f1": round(2 * both / max(float(truth.sum() + told.sum()), 1.0), 5),
        "stable_accuracy": round(float((truth == told).mean()), 5),
    }


def score_values(targets: np.ndarray, values: np.ndarray, stds: np.ndarray) -> Scores:
    """Mean absolute error, and how honest and how telling the standard deviations are."""
    errors = values - targets
    return {
        "mae": round(float(np.abs(errors).mean()), 5),
        "normal_miscalibration_area": round(miscalibration(errors, stds), 4),
        "spearman_error_std": round(rank_correlation(errors, stds), 4),
    }


def score_shape(targets: np.ndarray, values: np.ndarray, stds: np.ndarray, shape: Recalibration) -> float:
    """The miscalibration area with the errors' shape in place of a normal distribution, for uncalibrated stds."""
    return round(level_area(shape.cumulative(targets, values, stds)), 4)
