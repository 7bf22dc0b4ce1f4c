"""Extremely randomised trees (P. Geurts et al., Mach. Learn. 63, 3 (2006)) as arrays: grown by scikit-learn, used
without it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

TREES = 80
_COLUMNS = 0.3  # of the columns tried at each split
_LEAST_LEAF = 2
_LEAF = -1


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes of all trees, one after another: the column that is asked (-1 at a leaf), the threshold, the nodes for at
    most and for more than it, and the value; `roots` (trees,) are the trees' first nodes."""

    column: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray

    def predict(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (n,) over the trees, for inputs (n, columns)."""
        nodes = np.repeat(self.roots[None], len(inputs), axis=0)  # (n, trees)
        rows = np.arange(len(inputs))[:, None]
        while (asking := self.column[nodes] != _LEAF).any():
            more = inputs[rows, self.column[nodes]] > self.threshold[nodes]
            nodes = np.where(asking, np.where(more, self.right[nodes], self.left[nodes]), nodes)
        found = self.value[nodes].astype(np.float64)
        return found.mean(axis=1), found.std(axis=1)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The forest as arrays by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Forest":
        """The forest that to_arrays wrote."""
        return cls(**arrays)


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
    leaves = [tree.children_left == _LEAF for tree in trees]
    return Forest(
        column=np.concatenate([np.where(leaf, _LEAF, tree.feature) for tree, leaf in zip(trees, leaves, strict=True)]),
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
