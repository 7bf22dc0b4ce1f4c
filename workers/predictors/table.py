"""The training table: one row for each composition, with its labels and its split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

TASKS = (
    "band_gap", "formation_energy_per_atom", "decomposition_energy", "oqmd_gap", "oqmd_enthalpy", "oqmd_volume",
    "log_bulk_modulus", "log_shear_modulus",
)  # fmt: skip
LABELS = 3  # the first tasks are those of the Materials Project, which the predictor answers; the others help it learn
SPLITS = ("train", "val", "test")
LONGEST = 16
MASK = 0  # the number of an unknown element; the share 0.0 is an unknown amount
_ARRAYS = ("features", "numbers", "shares", "labels", "splits", "names")


@dataclass(frozen=True, slots=True)
class Table:
    """Tokens (n, LONGEST) padded with MASK, labels (n, task) with NaN where unknown, split numbers (n,).

    `elements` is the vocabulary, `features` (element, property) its elemental properties, `names` (n,) the identities
    of the compositions.
    """

    elements: tuple[str, ...]
    features: np.ndarray
    numbers: np.ndarray
    shares: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    names: np.ndarray

    def save(self, path: Path) -> None:
        """Write all arrays to one file."""
        np.savez_compressed(path, elements=np.array(self.elements), **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: Path) -> "Table":
        """The table that `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(tuple(data["elements"].tolist()), **{name: data[name] for name in _ARRAYS})

    def rows(self, split: str, labelled: bool) -> np.ndarray:
        """The rows of a split; if labelled, only those that bear a label which the predictor answers."""
        chosen = self.splits == SPLITS.index(split)
        if labelled:
            chosen &= np.isfinite(self.labels[:, :LABELS]).any(axis=1)
        return np.flatnonzero(chosen)
