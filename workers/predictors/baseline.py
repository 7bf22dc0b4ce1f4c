"""The baseline: a random forest on statistics of elemental properties."""

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from workers.predictors.element_statistics import statistics_features
from workers.predictors.table import SPLITS, Table

TREES = 100
_COLUMNS = 0.15  # of the columns tried at each split: as good as a third of them, and three times quicker


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
