"""CIF texts as token numbers, kept in one file of arrays that training reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.generator.batches import bundles
from workers.generator.crystallm.tokens import numbers

FILE = "texts.npz"
PARTS = ("train", "val")
NOTHING = -1  # target where a row is filled up
LOOSE = 8.0  # tokens that a batch's texts may differ in length by chance
_BEGIN, _END = "_symmetry_space_group_name_H-M", "_symmetry_Int_Tables_number"  # of group and cell
_SITES = "_atom_site_occupancy"  # the last word before them

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Texts:
    """Tokens of all texts one after the other, where each begins, the part it belongs to, and what cells hold."""

    tokens: npt.NDArray[np.uint16]  # (N,)
    starts: Ints  # (n + 1,)
    part: npt.NDArray[np.int8]  # (n,)
    cells: npt.NDArray[np.int32]  # of the training part, as `count_cells` makes it

    def __len__(self) -> int:
        return len(self.part)

    def members(self, part: str, longest: int) -> Ints:
        """The texts of a part that have at most so many tokens."""
        fits = np.diff(self.starts) <= longest
        return np.flatnonzero(fits & (self.part == PARTS.index(part)))

    def batches(self, members: Ints, budget: int, rng: np.random.Generator) -> Iterator[Tensor]:
        """Padded tokens (B, T) of all members, about equally long ones together, in random order of batches."""
        for chosen in bundles(np.diff(self.starts)[members], budget, LOOSE, rng):
            yield self.padded(members[chosen])

    def padded(self, members: Sequence[int] | Ints) -> Tensor:
        found = [self.tokens[self.starts[m] : self.starts[m + 1]].astype(np.int64) for m in members]
        table = np.full((len(found), max(map(len, found))), NOTHING, dtype=np.int64)
        for line, text in zip(table, found, strict=True):
            line[: len(text)] = text
        return torch.from_numpy(table)


def tells(tokens: Tensor) -> Tensor:
    """Which tokens (B, T) the formula leaves open: group, cell and sites, not what it says nor what is always alike."""
    begun, ended, sites = ((tokens == numbers()[word]).cumsum(1) > 0 for word in (_BEGIN, _END, _SITES))
    return ((begun & ~ended) | sites) & (tokens != NOTHING)


def save(work: Path, texts: Texts) -> None:
    np.savez_compressed(
        work / FILE, tokens=texts.tokens, starts=texts.starts, part=texts.part, cells=texts.cells
    )  # fmt: skip


def load(work: Path) -> Texts:
    """Raises FileNotFoundError where nothing was prepared."""
    with np.load(work / FILE) as arrays:
        return Texts(arrays["tokens"], arrays["starts"], arrays["part"], arrays["cells"])
