"""The baseline: a random forest on statistics of elemental properties.

After L. Ward et al., npj Comput. Mater. 2, 16028 (2016) ("Magpie"), with properties that pymatgen carries.
"""

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from workers.predictors.table import MASK, SPLITS, Table

TREES = 100
_COLUMNS = 0.15  # of the columns tried at each split: as good as a third of them, and three times quicker
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


def forest_errors(table: Table, labels: np.ndarray, seed: int) -> np.ndarray:
    """Absolute errors on the test split of a forest of the training split, for labels (n,), NaN where unknown."""
    rows = {split: np.flatnonzero(np.isfinite(labels) & (table.splits == SPLITS.index(split))) for split in SPLITS}
    inputs = {
        split: statistics_features(table.numbers[rows[split]], table.shares[rows[split]], table.features)
        for split in ("train", "test")
    }
    forest = RandomForestRegressor(TREES, max_features=_COLUMNS, random_state=seed, n_jobs=1)
    forest.fit(inputs["train"], labels[rows["train"]])
    errors: np.ndarray = np.abs(forest.predict(inputs["test"]) - labels[rows["test"]])
    return errors
