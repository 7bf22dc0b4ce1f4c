"""Estimates: nearer to the truth with more coalitions, with errors that can be believed, the same for the same seed."""

import numpy as np
import pytest

from workers.explanations import REPLICATES, Index, least_budget
from workers.games.indices import index_matrix, interactions_of
from workers.games.players import all_coalitions
from workers.games.sampling import Sampling

PLAYERS = 13
KINDS: list[tuple[Index, int]] = [("SV", 1), ("k-SII", 2), ("STII", 2), ("FSII", 2)]


@pytest.fixture(scope="module")
def game() -> np.ndarray:
    """Values of all coalitions (2^n,): smooth, with interactions of every order, as a network's are."""
    rng = np.random.default_rng(0)
    present = all_coalitions(PLAYERS).astype(float)
    pairs = rng.normal(size=(PLAYERS, PLAYERS)) / PLAYERS
    sums = present @ rng.normal(size=PLAYERS)
    return np.tanh(sums / 3) + np.einsum("mi,ij,mj->m", present, pairs, present)


def estimated(game: np.ndarray, index: Index, order: int, budget: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    sampling = Sampling(PLAYERS, index, order, budget, seed)
    weights = 1 << np.arange(PLAYERS)
    return sampling.solve([game[present.astype(int) @ weights] for present in sampling.coalitions()])


@pytest.mark.parametrize(("index", "order"), KINDS)
def test_more_coalitions_less_error_and_the_error_is_told(game: np.ndarray, index: Index, order: int) -> None:
    truth = index_matrix(PLAYERS, index, order) @ game
    wrong, told = [], []
    for budget in (800, 1600, 6400):
        amounts, errors = estimated(game, index, order, budget)
        wrong.append(float(np.sqrt(((amounts - truth) ** 2).mean())))
        told.append(float(np.sqrt((errors**2).mean())))
        assert amounts.sum() == pytest.approx(game[-1] - game[0], abs=1e-4)
    assert wrong[2] < 0.6 * wrong[0] and told[2] < 0.6 * told[0]
    assert all(0.5 < said / true < 2.0 for said, true in zip(told, wrong, strict=True))


def test_the_seed_alone_decides(game: np.ndarray) -> None:
    first, second = (estimated(game, "k-SII", 2, 1600, seed=7)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, estimated(game, "k-SII", 2, 1600, seed=8)[0])


def test_the_coalitions_are_no_more_than_the_budget() -> None:
    asked = Sampling(20, "k-SII", 2, 4000, 0).coalitions()
    assert len(asked) == REPLICATES and sum(map(len, asked)) <= 4000
    assert all(present.shape[1] == 20 and present.dtype == bool for present in asked)


def test_a_budget_too_small_for_the_order_is_raised() -> None:
    assert Sampling(16, "FSII", 3, 10, 0).budget == least_budget(16, 3) == REPLICATES * 2 * len(interactions_of(16, 3))
