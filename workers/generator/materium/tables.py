"""Known crystals as training reads them from one file: atoms on the grid, cells in bins, what is known of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILE = "crystals.npz"
PARTS = ("train", "val", "extra")


@dataclass(frozen=True, slots=True)
class Crystals:
    """Atoms of all crystals one after the other, heaviest first, and the crystals' own rows."""

    numbers: npt.NDArray[np.int16]  # (A,)
    states: npt.NDArray[np.int8]  # (A,), oxidation states
    points: npt.NDArray[np.int16]  # (A, 3), bins of the coordinates
    starts: npt.NDArray[np.int64]  # (n + 1,)
    cells: npt.NDArray[np.int16]  # (n, 6), bins of lengths and angles
    groups: npt.NDArray[np.int16]  # (n,)
    wanted: npt.NDArray[np.float32]  # (n, scalars) on their scales, not a number where unknown
    part: npt.NDArray[np.int8]  # (n,)
    species: npt.NDArray[np.int8]  # (S, 2), the vocabulary's atomic numbers and states
    radii: npt.NDArray[np.float32]  # covalent, in Å by atomic number

    def __len__(self) -> int:
        return len(self.part)

    def members(self, *parts: str) -> npt.NDArray[np.int64]:
        """The crystals of some parts."""
        return np.flatnonzero(np.isin(self.part, [PARTS.index(part) for part in parts]))


def save(work: Path, crystals: Crystals) -> None:
    np.savez(work / FILE, **{name: getattr(crystals, name) for name in Crystals.__slots__})


def load(work: Path) -> Crystals:
    """Read the crystals again; raises FileNotFoundError before they were prepared."""
    with np.load(work / FILE) as arrays:
        return Crystals(**{name: arrays[name] for name in Crystals.__slots__})
