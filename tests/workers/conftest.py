"""What tests of models share: one thread, and compositions with labels that can be learnt."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch

from workers.predictors.elements import element_table
from workers.predictors.table import LONGEST, MASK, TASKS, Table

Binaries = Callable[[Sequence[str], int], Table]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Models compute on one thread, as `load_model` has it; what is small is no work for two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """Makes so many binaries of some elements, their labels the elements' numbers weighted by their shares."""

    def made(elements: Sequence[str], count: int) -> Table:
        rng = np.random.default_rng(0)
        numbers = np.full((count, LONGEST), MASK, dtype=np.int16)
        numbers[:, :2] = [sorted(rng.choice(len(elements), 2, replace=False) + 1) for _ in range(count)]
        shares = np.zeros((count, LONGEST), dtype=np.float32)
        shares[:, 0] = rng.uniform(0.1, 0.9, count)
        shares[:, 1] = 1 - shares[:, 0]
        labels = np.repeat((numbers * shares).sum(axis=1, keepdims=True), len(TASKS), axis=1).astype(np.float32)
        names = np.array([f"composition {row}" for row in range(count)])
        features = element_table(tuple(elements)).astype(np.float32)
        return Table(tuple(elements), features, numbers, shares, labels, np.zeros(count, dtype=np.int8), names)

    return made
