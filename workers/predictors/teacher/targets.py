"""What a teacher hands on: an embedding for each composition. Whoever writes such a file is a teacher."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from workers.predictors.teacher.materials import ENERGY, Materials

Choice = Literal["ground", "mean"]


@dataclass(frozen=True, slots=True)
class Targets:
    """By composition (m): its identity, and unit vectors (m, d): that of its ground state, and that of the mean over
    all its structures."""

    compositions: np.ndarray
    ground: np.ndarray
    mean: np.ndarray

    def save(self, path: Path) -> None:
        """Write the arrays to one file."""
        np.savez(path, compositions=self.compositions, ground=self.ground, mean=self.mean)

    @classmethod
    def load(cls, path: Path) -> "Targets":
        """The targets that `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(data["compositions"], data["ground"], data["mean"])

    def rows(self, names: np.ndarray, choice: Choice) -> np.ndarray:
        """Vectors (n, d) for identities (n,), NaN where a composition has none."""
        place = {name: row for row, name in enumerate(self.compositions.tolist())}
        found = np.array([place.get(name, -1) for name in names.tolist()])
        vectors = self.ground if choice == "ground" else self.mean
        return np.where((found >= 0)[:, None], vectors[found], np.nan).astype(np.float32)


class Teacher(Protocol):
    """Anything that embeds described structures as unit vectors (n, d)."""

    def embed(self, materials: Materials) -> np.ndarray: ...


def make_targets(teacher: Teacher, materials: Materials) -> Targets:
    """Targets of the materials' compositions; the ground state is the structure of CHGNet's lowest energy an atom."""
    vectors = teacher.embed(materials)
    names, inverse = np.unique(materials.compositions, return_inverse=True)
    by_energy = np.argsort(materials.features[:, ENERGY], kind="stable")
    lowest = by_energy[np.unique(inverse[by_energy], return_index=True)[1]]
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, inverse, vectors)
    return Targets(names, vectors[lowest], _unit(sums).astype(np.float32))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
