"""Games: what the predictor says of a formula of which only some players are known."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workers.explanations import Players, player_names
from workers.predictors.table import MASK
from workers.predictors.tokens import Tokenizer, read_amounts


@dataclass(frozen=True, slots=True, eq=False)
class Game:
    """The tokens of one formula (T,), and by which of its players each token's element and amount are known."""

    formula: str
    names: tuple[str, ...]
    numbers: np.ndarray
    shares: np.ndarray
    element_players: np.ndarray
    amount_players: np.ndarray

    def rows(self, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and shares (m, T) for coalitions (m, players), hidden where their player is absent."""
        numbers = np.where(present[:, self.element_players], self.numbers, MASK)
        return numbers, np.where(present[:, self.amount_players], self.shares, np.float32(0.0))


def read_game(tokenizer: Tokenizer, formula: str, players: Players) -> Game:
    """The game of a formula; raises InvalidFormula."""
    tokens = tokenizer.read(formula)
    names = player_names(tuple(read_amounts(formula)), players)
    place: Mapping[str, int] = {name: number for number, name in enumerate(names)}
    amounts = tokens.elements if players == "elements" else [f"n({symbol})" for symbol in tokens.elements]
    return Game(
        formula,
        names,
        np.array(tokens.numbers, dtype=np.int64),
        np.array(tokens.shares, dtype=np.float32),
        np.array([place[symbol] for symbol in tokens.elements]),
        np.array([place[name] for name in amounts]),
    )


def all_coalitions(players: int) -> np.ndarray:
    """Every coalition (2^n, n) as present players; coalition k holds player i where bit i of k is set."""
    present: np.ndarray = (np.arange(2**players)[:, None] >> np.arange(players)) % 2 == 1
    return present
