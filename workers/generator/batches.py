"""Batches of crystals of about equal length."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.generator.dataset import PARTS, Tokens
from workers.generator.grammar import NO_SITE, Column


class Batches:
    """Batches of one part of the data, crystals of about equal length together."""

    def __init__(self, tokens: Tokens, budget: int) -> None:
        self.tokens = tokens
        self.lengths = np.diff(tokens.starts)
        self.budget = budget

    def members(self, *parts: str) -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.isin(self.tokens.part, [PARTS.index(part) for part in parts]))

    def pack(self, members: npt.NDArray[np.int64], rng: np.random.Generator) -> Iterator[Tensor]:
        """Padded rows (B, T, COLUMNS) of all members, in random order of batches."""
        noisy = self.lengths[members] + rng.uniform(0, 1.5, len(members))
        members = members[np.argsort(noisy)]
        batches, begin = [], 0
        while begin < len(members):
            end = begin + 1
            while end < len(members) and (end - begin + 1) * self.lengths[members[end]] <= self.budget:
                end += 1
            batches.append(members[begin:end])
            begin = end
        for index in rng.permutation(len(batches)):
            yield self.padded(batches[index])

    def padded(self, members: npt.NDArray[np.int64]) -> Tensor:
        table = np.zeros((len(members), int(self.lengths[members].max()), len(Column)), dtype=np.int64)
        table[..., Column.TARGET] = -1
        table[..., [Column.SITE, Column.NEXT_SITE]] = NO_SITE
        for place, index in enumerate(members):
            begin, end = self.tokens.starts[index : index + 2]
            table[place, : end - begin] = self.tokens.rows[begin:end]
        return torch.from_numpy(table)
