"""Explanations: what each element, each pair and each larger set of elements adds to a prediction, after SHAP-IQ.

An absent player keeps its place as the masked token of pretraining, which hides an element, its amount, or both: the
network was trained on all three states and answers what it expects of a composition of so many elements of which only
the rest is known. Leaving the token out instead would ask for another compound with fewer elements, and rescaled
amounts; no element would then be absent, they would all be different. A zero or a mean in its place would be a
composition that no one has ever shown the network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from workers.explanations import INDICES, ORDERS, PLAYERS, Explanation, Question, is_exact, order_within
from workers.games.indices import index_matrix, interactions_of
from workers.games.players import Game, all_coalitions, read_game
from workers.games.sampling import Sampling
from workers.predictors.tokens import Tokenizer
from workers.seeds import derive_seed


class Predictor(Protocol):
    """What an explanation needs to know of a predictor."""

    tokenizer: Tokenizer

    @property
    def properties(self) -> Sequence[str]:
        """The properties that it predicts."""

    def masked_predict(self, numbers: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and standard deviations (n, property) for tokens (n, T), hidden where MASK or 0.0 stands."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A game, its coalitions (m, players) apart by estimate, and who estimates; nobody where all are computed."""

    game: Game
    order: int
    coalitions: tuple[np.ndarray, ...]
    sampling: Sampling | None


def explain(predictor: Predictor, formulas: Sequence[str], question: Question) -> list[Explanation]:
    """An explanation of each formula, all coalitions of all formulas predicted in one batch.

    Raises ValueError for a question that is not offered, InvalidFormula for a formula.
    """
    _check(question, predictor.properties)
    plans = [_plan(read_game(predictor.tokenizer, formula, question.players), question) for formula in formulas]
    values = _play(predictor, plans, predictor.properties.index(question.property))
    return [_solve(plan, question, found) for plan, found in zip(plans, values, strict=True)]


def _check(question: Question, properties: Sequence[str]) -> None:
    offered = {"property": properties, "index": INDICES, "order": ORDERS, "players": PLAYERS}
    for name, accepted in offered.items():
        if (given := getattr(question, name)) not in accepted:
            raise ValueError(f"{name}={given!r}: {', '.join(map(str, accepted))} are offered")


def _plan(game: Game, question: Question) -> Plan:
    players = len(game.names)
    order = order_within(question, players)
    if is_exact(question, players):
        return Plan(game, order, (all_coalitions(players),), None)
    seed = derive_seed(question.seed, "explain", game.formula, 0)
    sampling = Sampling(players, question.index, order, question.budget, seed)
    # Nobody and everybody first: the baseline and the value are no estimates.
    return Plan(game, order, (np.array([[False] * players, [True] * players]), *sampling.coalitions()), sampling)


def _play(predictor: Predictor, plans: Sequence[Plan], column: int) -> Iterator[list[np.ndarray]]:
    """What the predictor says of each plan's coalitions; games of one length share the predictor's tiles."""
    rows = [plan.game.rows(np.concatenate(plan.coalitions)) for plan in plans]
    values = [np.empty(len(numbers)) for numbers, _ in rows]
    for length in {numbers.shape[1] for numbers, _ in rows}:
        mine = [place for place, (numbers, _) in enumerate(rows) if numbers.shape[1] == length]
        numbers, shares = (np.concatenate([rows[place][part] for place in mine]) for part in (0, 1))
        found = _predict_once(predictor, numbers, shares)[:, column]
        ends = np.cumsum([len(values[place]) for place in mine])
        for place, part in zip(mine, np.split(found, ends[:-1]), strict=True):
            values[place] = part
    for plan, found in zip(plans, values, strict=True):
        ends = np.cumsum([len(some) for some in plan.coalitions])
        yield np.split(found, ends[:-1])


def _predict_once(predictor: Predictor, numbers: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Values (n, property), equal rows predicted once: formulas have their smaller coalitions in common."""
    keys = np.ascontiguousarray(np.concatenate((numbers, shares.view(np.int32)), axis=1))
    whole = keys.view(f"V{keys.itemsize * keys.shape[1]}").ravel()
    _, first, back = np.unique(whole, return_index=True, return_inverse=True)
    values, _ = predictor.masked_predict(numbers[first], shares[first])
    found: np.ndarray = values[back]
    return found


def _solve(plan: Plan, question: Question, values: Sequence[np.ndarray]) -> Explanation:
    players, names = len(plan.game.names), plan.game.names
    if plan.sampling is None:
        interactions, errors = index_matrix(players, question.index, plan.order) @ values[0], None
    else:
        interactions, errors = plan.sampling.solve(list(values[1:]))
    sets = [tuple(names[player] for player in found) for found in interactions_of(players, plan.order)]
    return Explanation(
        formula=plan.game.formula,
        property=question.property,
        index=question.index,
        order=plan.order,
        baseline=float(values[0][0]),
        value=float(values[0][-1]),
        interactions=tuple(zip(sets, interactions.tolist(), strict=True)),
        players=question.players,
        budget=None if plan.sampling is None else plan.sampling.budget,
        errors=None if errors is None else tuple(errors.tolist()),
    )
