"""Training batches: formulas of one length, shuffled anew each epoch, any batch addressable by its step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workers.predictors.table import Table


@dataclass(frozen=True, slots=True)
class Batch:
    """Numbers and shares (B, T), labels (B, task) in units of each task's spread, NaN where unknown; the table's rows
    (B,) that they are."""

    numbers: Tensor
    shares: Tensor
    labels: Tensor
    rows: Tensor


@dataclass(frozen=True, slots=True)
class Scaling:
    """Centre and spread of each task (task,)."""

    centre: np.ndarray
    spread: np.ndarray


def measure_scaling(table: Table, rows: np.ndarray) -> Scaling:
    """Median and mean absolute deviation of each task over some rows; 0 and 1 where none is known."""
    centre, spread = np.zeros(table.labels.shape[1]), np.ones(table.labels.shape[1])
    for task, column in enumerate(table.labels[rows].astype(np.float64).T):
        known = column[np.isfinite(column)]
        if len(known) and np.ptp(known) > 0:
            centre[task] = np.median(known)
            spread[task] = np.abs(known - centre[task]).mean()
    return Scaling(centre, spread)


class Batches:
    """Batches of some rows of a table; rows named twice come twice an epoch."""

    def __init__(self, table: Table, scaling: Scaling, rows: np.ndarray, size: int, seed: Sequence[int]) -> None:
        self._size = size
        self._seed = list(seed)
        lengths = (table.shares > 0).sum(axis=1)  # an element that is unknown still has its share
        self._groups = [rows[lengths[rows] == length] for length in np.unique(lengths[rows])]
        self._lengths = [int(lengths[group[0]]) for group in self._groups]
        self._numbers = torch.from_numpy(table.numbers.astype(np.int64))
        self._shares = torch.from_numpy(table.shares)
        self._labels = torch.from_numpy(((table.labels - scaling.centre) / scaling.spread).astype(np.float32))
        self.epoch_steps = sum(-(-len(group) // size) for group in self._groups)
        self._epoch = -1
        self._plan: list[tuple[int, np.ndarray]] = []

    def __getitem__(self, step: int) -> Batch:
        epoch, place = divmod(step, self.epoch_steps)
        if epoch != self._epoch:
            self._plan, self._epoch = self._shuffle(epoch), epoch
        length, rows = self._plan[place]
        index = torch.from_numpy(rows)
        return Batch(self._numbers[index, :length], self._shares[index, :length], self._labels[index], index)

    def _shuffle(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        rng = np.random.default_rng([*self._seed, epoch])
        plan = []
        for length, group in zip(self._lengths, self._groups, strict=True):
            order = rng.permutation(group)
            plan += [(length, order[start : start + self._size]) for start in range(0, len(order), self._size)]
        return [plan[place] for place in rng.permutation(len(plan))]
