"""Statistics of elemental properties over a formula, as trees read it.

After L. Ward et al., npj Comput. Mater. 2, 16028 (2016) ("Magpie"), with properties that pymatgen carries.
"""

import numpy as np

from workers.predictors.table import MASK

_NORMS = (2, 3, 5, 7, 10)


def statistics_features(numbers: np.ndarray, shares: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Statistics (n, columns) of elemental properties (element, property) over formulas' tokens (n, T).

    Mean, mean deviation, least, largest, range and mode of each property, norms of the shares, the number of elements,
    and the share of each element.
    """
    present = numbers != MASK
    values = features[np.where(present, numbers - 1, 0)].astype(np.float64)  # (n, T, F)
    weights = np.where(present, shares, 0.0)[..., None].astype(np.float64)
    mean = (values * weights).sum(axis=1)
    deviation = (np.abs(values - mean[:, None]) * weights).sum(axis=1)
    least = np.where(present[..., None], values, np.inf).min(axis=1)
    largest = np.where(present[..., None], values, -np.inf).max(axis=1)
    mode = values[np.arange(len(values)), weights[..., 0].argmax(axis=1)]
    norms = np.stack([(weights[..., 0] ** power).sum(axis=1) ** (1 / power) for power in _NORMS], axis=1)
    fractions = np.zeros((len(values), len(features)))
    np.add.at(fractions, (np.arange(len(values))[:, None], np.where(present, numbers - 1, 0)), weights[..., 0])
    counts = present.sum(axis=1, keepdims=True)
    columns = (mean, deviation, least, largest, largest - least, mode, norms, counts, fractions)
    return np.concatenate(columns, axis=1).astype(np.float32)
