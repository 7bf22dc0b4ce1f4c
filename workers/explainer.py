"""Explanations: what each element, and each pair of elements, adds to a prediction.

The players are the elements of a formula with their amounts. An absent player keeps its place as the masked token of
pretraining, which hides element and amount: the network has seen that state and answers what it expects of a
composition of so many elements of which only the others are known. Leaving the token out instead would ask for another
compound with fewer elements, and rescaled amounts; no element would then be absent, they would all be different.
"""

from collections.abc import Sequence

import numpy as np
from shapiq import ExactComputer

from workers.explanations import INDICES, Explanation, Index
from workers.predictors.predictor import PROPERTIES, CompositionPredictor
from workers.predictors.tokens import read_amounts


def explain(
    predictor: CompositionPredictor, formulas: Sequence[str], property: str, index: Index = "k-SII", order: int = 2
) -> list[Explanation]:
    """Exact interactions of each formula's elements up to an order, all coalitions computed in one batch.

    Raises ValueError for a property or index that is not offered, InvalidFormula for a formula.
    """
    if property not in PROPERTIES:
        raise ValueError(f"{property=}: {', '.join(PROPERTIES)} can be explained")
    if index not in INDICES:
        raise ValueError(f"{index=}: {', '.join(INDICES)} are offered")
    column = PROPERTIES.index(property)
    players = [tuple(read_amounts(formula)) for formula in formulas]
    coalitions = [_coalitions(len(elements)) for elements in players]
    requests = [
        (formula, frozenset(np.array(elements)[~present].tolist()))
        for formula, elements, table in zip(formulas, players, coalitions, strict=True)
        for present in table
    ]
    values = predictor.masked_predict(requests)[0][:, column]
    ends = np.cumsum([len(table) for table in coalitions]).tolist()
    return [
        _explanation((formula, property), elements, values[end - len(table) : end], index, order)
        for formula, elements, table, end in zip(formulas, players, coalitions, ends, strict=True)
    ]


def _coalitions(players: int) -> np.ndarray:
    """Every coalition (2^n, n) as present players; coalition k holds player i where bit i of k is set."""
    present: np.ndarray = (np.arange(2**players)[:, None] >> np.arange(players)) % 2 == 1
    return present


def _explanation(
    subject: tuple[str, str], elements: tuple[str, ...], values: np.ndarray, index: Index, order: int
) -> Explanation:
    """The explanation of (formula, property) from the predictions of all coalitions (2^n,)."""
    weights = 1 << np.arange(len(elements))

    def game(present: np.ndarray) -> np.ndarray:
        found: np.ndarray = values[np.atleast_2d(present).astype(int) @ weights]
        return found

    order = 1 if index == "SV" else min(order, len(elements))
    computed = ExactComputer(game, n_players=len(elements))(index, order)
    found = {players: float(computed[players]) for players in computed.interaction_lookup if players}
    interactions = tuple(
        (tuple(elements[player] for player in players), found[players])
        for players in sorted(found, key=lambda players: (len(players), players))
    )
    return Explanation(*subject, index, order, float(values[0]), float(values[-1]), interactions)
