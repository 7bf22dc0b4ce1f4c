"""Interaction indices as matrices: every index here is linear in the values of the coalitions.

An index gives each set of players S a share of the Möbius coefficient of each larger set T, and that share depends on
nothing but the two sizes. shapiq's converter tells it from one game for each size of T; with the Möbius transform that
makes one matrix for all games of so many players, where shapiq would walk through the coalitions of each game anew.
"""

from functools import lru_cache
from itertools import combinations

import numpy as np
from shapiq import InteractionValues
from shapiq.game_theory.moebius_converter import MoebiusConverter

from workers.explanations import Index

Interaction = tuple[int, ...]


def interactions_of(players: int, order: int) -> list[Interaction]:
    """The sets of one to so many players, smaller ones first, then in the order of the players."""
    return [found for size in range(1, order + 1) for found in combinations(range(players), size)]


@lru_cache(maxsize=32)
def index_matrix(players: int, index: Index, order: int) -> np.ndarray:
    """The matrix (interactions, 2^n) that turns the values of all coalitions into an index; do not write to it.

    Rows follow interactions_of, columns all_coalitions.
    """
    interactions = interactions_of(players, order)
    masks = np.array([sum(1 << player for player in found) for found in interactions])
    sizes = np.array([len(found) for found in interactions])
    coalitions = np.arange(2**players)
    counts = ((coalitions[:, None] >> np.arange(players)) & 1).sum(axis=1)
    shares = _moebius_shares(players, index, order)[sizes[:, None], counts]
    matrix = np.where((masks[:, None] & coalitions) == masks[:, None], shares, 0.0)
    return _after_moebius(matrix, players)


def _moebius_shares(players: int, index: Index, order: int) -> np.ndarray:
    """The share (order + 1, n + 1) of a set of one size in the Möbius coefficient of a set of another."""
    shares = np.zeros((order + 1, players + 1))
    for size in range(1, players + 1):
        converted = MoebiusConverter(_unanimity(size, players))(index, order)
        for smaller in range(1, min(order, size) + 1):
            shares[smaller, size] = converted[tuple(range(smaller))]
    return shares


def _unanimity(size: int, players: int) -> InteractionValues:
    """The game that is worth 1 where the first so many players are all present."""
    return InteractionValues(
        values=np.array([0.0, 1.0]),
        index="Moebius",
        max_order=players,
        n_players=players,
        min_order=0,
        interaction_lookup={(): 0, tuple(range(size)): 1},
        baseline_value=0.0,
    )


def _after_moebius(matrix: np.ndarray, players: int) -> np.ndarray:
    """A matrix on Möbius coefficients (m, 2^n) as one on the values of coalitions."""
    cube = matrix.reshape(len(matrix), *[2] * players)
    for axis in range(1, players + 1):
        halves = np.moveaxis(cube, axis, 0)
        halves[0] -= halves[1]
    return matrix
