"""Token rows of known crystals as training reads them from one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FILE = "tokens.npz"
PARTS = ("train", "val", "test", "extra")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Rows of all crystals one after the other, likewise of what proposes their formulas, and what is known of each."""

    rows: npt.NDArray[np.int16]  # (R, COLUMNS)
    starts: npt.NDArray[np.int64]  # (n + 1,), where each crystal begins
    proposals: npt.NDArray[np.int16]  # (P, COLUMNS)
    proposal_starts: npt.NDArray[np.int64]  # (n + 1,)
    wanted: npt.NDArray[np.int16]  # (n, conditions), values that stand for what a crystal has, -1 where unknown
    part: npt.NDArray[np.int8]  # (n,)

    def __len__(self) -> int:
        return len(self.part)

    def members(self, *parts: str) -> npt.NDArray[np.int64]:
        """The crystals of some parts."""
        return np.flatnonzero(np.isin(self.part, [PARTS.index(part) for part in parts]))


def save(work: Path, tokens: Tokens, **features: Any) -> None:
    """Write the rows with what else a model is made from."""
    arrays: dict[str, Any] = {name: getattr(tokens, name) for name in tokens.__slots__}
    np.savez(work / FILE, **arrays, **features)


def load(work: Path) -> Tokens:
    """Read the rows again; raises FileNotFoundError before they were prepared."""
    with np.load(work / FILE) as arrays:
        return Tokens(**{name: arrays[name] for name in Tokens.__slots__})


def load_scope(work: Path) -> str:
    """Which structures were prepared."""
    with np.load(work / FILE) as arrays:
        return str(arrays["scope"])


def load_features(work: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Features of elements and sites, and covalent radii."""
    with np.load(work / FILE) as arrays:
        return {name: arrays[name] for name in ("element_features", "site_features", "radii")}
