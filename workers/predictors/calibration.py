"""How far standard deviations can be trusted."""

from math import sqrt

import numpy as np
import torch

_LEVELS = np.linspace(0.01, 0.99, 99)


def miscalibration(errors: np.ndarray, stds: np.ndarray) -> float:
    """Area between the expected and the observed share of errors inside central normal intervals, 0 to 0.5.

    After V. Kuleshov et al., ICML 2018, and the area of K. Tran et al., Mach. Learn.: Sci. Technol. 1, 025006 (2020).
    """
    bounds = sqrt(2.0) * torch.erfinv(torch.from_numpy(_LEVELS)).numpy()
    ratios = np.sort(np.abs(errors) / stds)
    observed = np.searchsorted(ratios, bounds, side="right") / len(ratios)
    return float(np.abs(observed - _LEVELS).mean())


def rank_correlation(errors: np.ndarray, stds: np.ndarray) -> float:
    """Spearman's correlation of absolute errors with standard deviations."""
    return float(np.corrcoef(_ranks(np.abs(errors)), _ranks(stds))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (n,), equal values sharing their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
