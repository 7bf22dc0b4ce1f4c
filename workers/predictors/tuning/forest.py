"""Extremely randomised trees (P. Geurts et al., Mach. Learn. 63, 3 (2006)) as arrays, which answer without the library
that grew them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEAF = -1


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
        while (asking := self.column[nodes] != LEAF).any():
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
