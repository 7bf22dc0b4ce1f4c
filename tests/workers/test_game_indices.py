"""Indices as matrices: shapiq's own exact computer says the same, and the axioms hold on games made by hand."""

from itertools import permutations

import numpy as np
import pytest
from shapiq import ExactComputer

from workers.explanations import Index
from workers.games.indices import index_matrix, interactions_of
from workers.games.players import all_coalitions

KINDS: list[tuple[Index, int]] = [
    ("SV", 1), *((index, order) for index in ("k-SII", "STII", "FSII") for order in (1, 2, 3, 4))
]  # fmt: skip


def drawn(players: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=2**players)


def found(values: np.ndarray, index: Index, order: int) -> dict[tuple[int, ...], float]:
    players = len(values).bit_length() - 1
    amounts = index_matrix(players, index, order) @ values
    return dict(zip(interactions_of(players, order), amounts.tolist(), strict=True))


@pytest.mark.parametrize("players", [1, 2, 3, 5, 7])
@pytest.mark.parametrize(("index", "order"), KINDS)
def test_the_exact_computer_of_shapiq_says_the_same(players: int, index: Index, order: int) -> None:
    values, weights, order = drawn(players), 1 << np.arange(players), min(order, players)
    theirs = ExactComputer(lambda present: values[present.astype(int) @ weights], n_players=players)(index, order)
    ours = found(values, index, order)
    assert ours == {players: pytest.approx(theirs[players], abs=1e-6) for players in ours}


@pytest.mark.parametrize("players", [3, 6, 12])
@pytest.mark.parametrize(("index", "order"), KINDS)
def test_interactions_add_up_to_the_value_of_all_players(players: int, index: Index, order: int) -> None:
    values = drawn(players)
    total = sum(found(values, index, min(order, players)).values())
    assert total == pytest.approx(values[-1] - values[0], abs=1e-9)


@pytest.mark.parametrize(("index", "order"), KINDS)
def test_a_dummy_adds_its_own_and_joins_nobody(index: Index, order: int) -> None:
    present = all_coalitions(5)
    others = drawn(4)[present[:, :4].astype(int) @ (1 << np.arange(4))]
    for players, amount in found(others + 2.5 * present[:, 4], index, order).items():
        if 4 in players:
            assert amount == pytest.approx(2.5 if players == (4,) else 0.0, abs=1e-9)


@pytest.mark.parametrize(("index", "order"), KINDS)
def test_players_that_are_alike_get_alike(index: Index, order: int) -> None:
    present = all_coalitions(5).astype(float)
    together, other = present[:, 0] + present[:, 1], present[:, 2]
    ours = found(together**2 * (1 + other) + np.sin(together) + 3 * present[:, 3] * present[:, 4], index, order)
    swap = {0: 1, 1: 0}
    for players, amount in ours.items():
        twin = tuple(sorted(swap.get(player, player) for player in players))
        assert amount == pytest.approx(ours[twin], abs=1e-9)


def test_a_shapley_value_is_the_mean_contribution_over_all_orders_of_arrival() -> None:
    values, means = drawn(4), np.zeros(4)
    for arrival in permutations(range(4)):
        there = 0
        for player in arrival:
            means[player] += (values[there | 1 << player] - values[there]) / 24
            there |= 1 << player
    assert list(found(values, "SV", 1).values()) == pytest.approx(means.tolist())


def test_a_sum_of_products_is_its_own_second_order_explanation() -> None:
    present = all_coalitions(4).astype(float)
    values = 1.0 + 2 * present[:, 0] - 3 * present[:, 1] * present[:, 3]
    for index in ("k-SII", "STII", "FSII"):
        ours = {players: round(amount, 9) for players, amount in found(values, index, 2).items() if abs(amount) > 1e-9}
        assert ours == {(0,): 2.0, (1, 3): -3.0}
