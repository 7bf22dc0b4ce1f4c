"""Interactions of games with too many coalitions: shapiq's approximators, run several times to know their error.

Which approximator an index gets was measured on predictions with 14 players, where the truth can be computed: of those
that add up to the prediction, the one with the least error from 1,024 and from 4,096 coalitions.
SHAPIQ is after F. Fumagalli et al., NeurIPS 2023; KernelSHAPIQ after F. Fumagalli et al., ICML 2024.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from shapiq.approximator import SHAPIQ, KernelSHAP, KernelSHAPIQ, RegressionFSII
from shapiq.approximator.base import Approximator

from workers.explanations import REPLICATES, Index, least_budget
from workers.games.indices import interactions_of

_Values = Callable[[np.ndarray], np.ndarray]


class _Told(Exception):
    """The coalitions are told"""


class Sampling:
    """Independent estimates of an index, whose spread is their error; nothing is drawn but by the seed."""

    def __init__(self, players: int, index: Index, order: int, budget: int, seed: int) -> None:
        self._shape = (players, index, order)
        self._interactions = interactions_of(players, order)
        self._seeds = [int(found) for found in np.random.SeedSequence(seed).generate_state(REPLICATES)]
        self.budget = max(budget, least_budget(players, order))

    def coalitions(self) -> list[np.ndarray]:
        """The coalitions (m, players) that each estimate asks for."""
        asked: list[np.ndarray] = []

        def tell(present: np.ndarray) -> np.ndarray:
            asked.append(np.array(present, dtype=bool))
            raise _Told

        for seed in self._seeds:
            with suppress(_Told):
                self._estimate(seed, tell)
        return asked

    def solve(self, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Interactions and their standard errors, from the values of each estimate's coalitions."""
        estimates = np.array(
            [
                self._estimate(seed, lambda _, known=known: known)  # type: ignore[misc]
                for seed, known in zip(self._seeds, values, strict=True)
            ]
        )
        return estimates.mean(axis=0), estimates.std(axis=0, ddof=1) / REPLICATES**0.5

    def _estimate(self, seed: int, game: _Values) -> np.ndarray:
        players, index, order = self._shape
        if index != "STII":
            return self._approximate(_approximator(players, index, order, seed), game)
        # What a fit of this order says is its own STII; only what it leaves is estimated, and by itself that estimate
        # is so much noisier. Both draw the same coalitions, which seed and order alone decide.
        fitted = self._approximate(RegressionFSII(players, order, random_state=seed), game)
        rest = self._approximate(
            SHAPIQ(players, order, index, random_state=seed),
            lambda present: game(present) - self._worth(fitted, present),
        )
        total: np.ndarray = fitted + rest
        return total

    def _approximate(self, approximator: Approximator[Any], game: _Values) -> np.ndarray:
        with _quiet():
            found = approximator.approximate(self.budget // REPLICATES, game)
        return np.array([found[players] for players in self._interactions])

    def _worth(self, interactions: np.ndarray, present: np.ndarray) -> np.ndarray:
        """What coalitions (m, players) are worth by the sets of players in them, nobody being worth nothing."""
        worth = np.zeros(len(present))
        for players, amount in zip(self._interactions, interactions, strict=True):
            worth += amount * present[:, list(players)].all(axis=1)
        return worth


def _approximator(players: int, index: Index, order: int, seed: int) -> Approximator[Any]:
    match index:
        case "SV":
            return KernelSHAP(players, random_state=seed)
        case "k-SII":
            return KernelSHAPIQ(players, order, index, random_state=seed)
    return RegressionFSII(players, order, random_state=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that a budget covers some sizes of coalitions wholly, which is what it is for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
