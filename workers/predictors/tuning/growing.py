"""Randomised trees grown by scikit-learn, and kept as arrays."""

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from workers.predictors.tuning.forest import LEAF, Forest

TREES = 80
_COLUMNS = 0.3  # of the columns tried at each split
_LEAST_LEAF = 2


def grow(inputs: np.ndarray, targets: np.ndarray, classification: bool, seed: int) -> Forest:
    """Grow a forest on inputs (n, columns); of classes it tells the share of the second one, both counted alike."""
    settings = {"max_features": _COLUMNS, "min_samples_leaf": _LEAST_LEAF, "random_state": seed, "n_jobs": 1}
    if classification:
        grown = ExtraTreesClassifier(TREES, class_weight="balanced", **settings).fit(inputs, targets > 0.5)
    else:
        grown = ExtraTreesRegressor(TREES, **settings).fit(inputs, targets)
    trees = [estimator.tree_ for estimator in grown.estimators_]
    counts = np.array([tree.node_count for tree in trees])
    starts = np.cumsum(counts) - counts
    leaves = [tree.children_left == LEAF for tree in trees]
    return Forest(
        column=np.concatenate([np.where(leaf, LEAF, tree.feature) for tree, leaf in zip(trees, leaves, strict=True)]),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float32),
        left=_shifted([tree.children_left for tree in trees], starts),
        right=_shifted([tree.children_right for tree in trees], starts),
        value=np.concatenate([_values(tree.value) for tree in trees]).astype(np.float32),
        roots=starts.astype(np.int32),
    )


def _shifted(children: list[np.ndarray], starts: np.ndarray) -> np.ndarray:
    return np.concatenate([child + start for child, start in zip(children, starts, strict=True)]).astype(np.int32)


def _values(value: np.ndarray) -> np.ndarray:
    """A tree's values (nodes, 1, 1), or the share of the second of its classes (nodes, 1, 2)."""
    flat = value[:, 0, :]
    share: np.ndarray = flat[:, -1] / flat.sum(axis=1) if flat.shape[1] > 1 else flat[:, 0]
    return share
