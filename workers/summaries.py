"""Summaries of many explanations: the mean interaction of each set of elements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import fsum, sqrt

from workers.explanations import Explanation, element_of
from workers.symbols import SYMBOLS

_PLACES = {symbol: place for place, symbol in enumerate(SYMBOLS)}


@dataclass(frozen=True, slots=True)
class MeanInteraction:
    """What a set of elements adds on average where all of them are present: how many explanations that were, and
    the standard deviation between them."""

    elements: tuple[str, ...]
    mean: float
    std: float
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean interactions over so many explanations of one property by one index, larger sets last, strongest first."""

    property: str
    index: str
    order: int
    players: str
    explained: int
    means: tuple[MeanInteraction, ...]

    def of_size(self, size: int) -> tuple[MeanInteraction, ...]:
        """The sets of so many elements, strongest first."""
        return tuple(found for found in self.means if len(found.elements) == size)


@dataclass(slots=True)
class _Gathered:
    order: int = 0
    explained: int = 0
    amounts: defaultdict[tuple[str, ...], list[float]] = field(default_factory=lambda: defaultdict(list))


def summarise(explanations: Iterable[Explanation]) -> tuple[Summary, ...]:
    """A summary for each property, index and kind of players that the explanations have.

    Interactions of elements and of their amounts count to the set of elements that takes part in them.
    """
    found: dict[tuple[str, str, str], _Gathered] = {}
    for explanation in explanations:
        key = (explanation.property, explanation.index, explanation.players)
        mine = found.setdefault(key, _Gathered())
        mine.order = max(mine.order, explanation.order)
        mine.explained += 1
        for elements, amount in _by_elements(explanation).items():
            mine.amounts[elements].append(amount)
    return tuple(_summary(key, found[key]) for key in sorted(found))


def _by_elements(explanation: Explanation) -> Mapping[tuple[str, ...], float]:
    parts: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for players, amount in explanation.interactions:
        elements = sorted({element_of(player) for player in players}, key=_PLACES.__getitem__)
        parts[tuple(elements)].append(amount)
    return {elements: fsum(amounts) for elements, amounts in parts.items()}


def _summary(key: tuple[str, str, str], gathered: _Gathered) -> Summary:
    means = [_mean(elements, amounts) for elements, amounts in gathered.amounts.items()]
    means.sort(key=lambda found: (len(found.elements), -abs(found.mean), found.elements))
    name, index, players = key
    return Summary(name, index, gathered.order, players, gathered.explained, tuple(means))


def _mean(elements: tuple[str, ...], amounts: list[float]) -> MeanInteraction:
    mean = fsum(amounts) / len(amounts)
    std = sqrt(fsum((amount - mean) ** 2 for amount in amounts) / len(amounts))
    return MeanInteraction(elements, mean, std, len(amounts))
