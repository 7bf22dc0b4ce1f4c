"""Predictors that users train, as actors hold them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workers.cards import Card
from workers.errors import InvalidFormula
from workers.models import Refused, accepted
from workers.predictors.tokens import Tokenizer, Tokens, read_amounts
from workers.predictors.tuning.checkpoint import restore
from workers.predictors.tuning.sheet import Sheet
from workers.properties import Predicted


class LearnedModel:
    """Predicts the one property that it learned from a user's table; a formula's answer depends on nothing else.

    The value of a class is the score of the second one, above a half where that is told.
    """

    def __init__(self, card: Card, arrays: Mapping[str, np.ndarray], device: str) -> None:
        config: Any = card.config
        (self.property,) = card.properties
        self._tile = card.tile
        self._tokenizer = Tokenizer(config["elements"], config["longest"])
        self._learner = restore(config, arrays)  # small networks and trees, which are no work for a GPU

    def predict(self, formulas: Sequence[str]) -> list[Predicted | Refused]:
        """Value and standard deviation of the property, or why a formula is not taken."""
        refusals = [self._unsupported(formula) for formula in formulas]
        answers = iter(self._compute([self._tokenizer.read(formula) for formula in accepted(formulas, refusals)]))
        return [next(answers) if refusal is None else Refused(refusal) for refusal in refusals]

    def _unsupported(self, formula: str) -> str | None:
        try:
            return self._tokenizer.flaw(read_amounts(formula))
        except InvalidFormula as exc:
            return str(exc.args[-1])  # the reason alone: the caller has the formula

    def _compute(self, tokens: Sequence[Tokens]) -> list[Predicted]:
        found: list[Predicted] = [{} for _ in tokens]
        lengths = np.array([len(item.numbers) for item in tokens], dtype=np.int64)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length).tolist()
            for start in range(0, len(rows), self._tile):
                part = rows[start : start + self._tile]
                values, stds = self._learner.predict(_sheet([tokens[row] for row in part], self._tile))
                # The tile is longer than what was asked.
                for row, value, std in zip(part, values.tolist(), stds.tolist(), strict=False):
                    found[row] = {self.property: (value, std)}
        return found


def _sheet(tokens: Sequence[Tokens], tile: int) -> Sheet:
    """Formulas of one length as a tile of fixed shape, the first one repeated to its end."""
    full = [*tokens, *[tokens[0]] * (tile - len(tokens))]
    numbers = np.array([item.numbers for item in full], dtype=np.int16)
    shares = np.array([item.shares for item in full], dtype=np.float32)
    return Sheet(numbers, shares, np.zeros(tile, dtype=np.str_), np.zeros(tile), classification=False)
