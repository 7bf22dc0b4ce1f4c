"""Explanations of predictions as values: what is asked, and which sets of players add how much."""

from dataclasses import dataclass
from math import comb
from typing import Literal, get_args

from workers.compositions import parse_formula
from workers.errors import InvalidQuestion

Index = Literal["k-SII", "SV", "STII", "FSII"]
Players = Literal["elements", "tokens"]
INDICES: tuple[str, ...] = get_args(Index)
PLAYERS: tuple[str, ...] = get_args(Players)
ORDERS = range(1, 5)
EXACT = 12  # players, whose coalitions are all computed whatever the budget
BUDGET = 2**EXACT  # coalitions of one formula
MOST_COALITIONS = 2**18
REPLICATES = 4  # independent estimates, whose spread tells their error
_ROOM = 2  # coalitions for each unknown of an estimate


@dataclass(frozen=True, slots=True)
class Question:
    """What of a prediction is to be explained, by which index, up to which order, and by how many coalitions.

    Elements as players come and go with their amounts; tokens are what the predictor reads, so that an element and its
    amount are two players. A game with no more coalitions than the budget is explained exactly, a larger one estimated
    from so many coalitions, drawn by the seed. SV has order 1 alone.
    """

    property: str
    index: Index = "k-SII"
    order: int = 2
    players: Players = "elements"
    budget: int = BUDGET
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction as a baseline (nothing known but the number of elements) plus interactions of players.

    Players stand in the order of the formula, an element's amount as n(Cs); baseline + sum of interactions = value to
    1e-4. An estimate names the coalitions that it was drawn from and one standard error for each interaction; an exact
    explanation has neither.
    """

    formula: str
    property: str
    index: str
    order: int
    baseline: float
    value: float
    interactions: tuple[tuple[tuple[str, ...], float], ...]
    players: str = "elements"
    budget: int | None = None
    errors: tuple[float, ...] | None = None


def player_names(elements: tuple[str, ...], players: Players) -> tuple[str, ...]:
    """The players of a formula by the names that explanations call them."""
    if players == "elements":
        return elements
    return tuple(name for symbol in elements for name in (symbol, f"n({symbol})"))


def element_of(player: str) -> str:
    """The element that a player is, or whose amount it is."""
    return player.removeprefix("n(").removesuffix(")")


def order_within(question: Question, players: int) -> int:
    """The order that an explanation of so many players has: no set of players is larger than all of them."""
    return 1 if question.index == "SV" else min(question.order, players)


def is_exact(question: Question, players: int) -> bool:
    """Whether all coalitions of so many players are computed."""
    return players <= EXACT or 2**players <= question.budget


def least_budget(players: int, order: int) -> int:
    """The least coalitions from which the interactions of so many players can be estimated."""
    return REPLICATES * _ROOM * sum(comb(players, size) for size in range(1, order + 1))


def check_question(question: Question, formula: str) -> None:
    """Raise InvalidQuestion for an order that index or formula do not have, or a budget that is too small for it."""
    names = player_names(parse_formula(formula).elements, question.players)
    if question.index == "SV" and question.order > 1:
        raise InvalidQuestion(f"order {question.order}: SV has order 1 alone; k-SII, STII and FSII have higher ones")
    if question.order > len(names):
        shown = ", ".join(names)
        raise InvalidQuestion(f"order {question.order}: {formula} has {len(names)} players ({shown}), no larger set")
    least = least_budget(len(names), question.order)
    if not is_exact(question, len(names)) and question.budget < least:
        raise InvalidQuestion(
            f"budget {question.budget}: {formula} has {len(names)} players, of whom order {question.order} needs at "
            f"least {least} coalitions"
        )
