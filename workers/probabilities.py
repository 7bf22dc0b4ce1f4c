"""Probabilities in filters of screens: `P(1 <= band_gap <= 1.8) >= 0.3`, which OPTIMADE's grammar does not know.

What a model predicts is a value and a standard deviation. Its errors have the shape that the model's card tells, else
that of a normal distribution, to which the standard deviations of the shipped models are fitted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from scipy.special import ndtr

from workers.cards import Card
from workers.errors import InvalidFilter
from workers.filter_fields import MIRRORED, our_name
from workers.filter_grammar import CHANCE, STRING, check_text
from workers.filter_tree import And, Chance, Compare, Filter, Not, Or, properties_of
from workers.filters import parse_filter
from workers.predictors.calibration import Certainty, Recalibration
from workers.properties import NON_NEGATIVE, STD, STRUCTURE_PREFIX

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NAME, _OP = r"[A-Za-z_]\w*", r"<=|>=|<|>"
_ASKED = re.compile(f"({STRING})|\\bP\\s*\\(([^()]*)\\)", re.DOTALL)
_QUOTED = re.compile(STRING, re.DOTALL)
_INSIDE = re.compile(rf"\s*(?:({_NUMBER})\s*({_OP}))?\s*({_NAME})\s*(?:({_OP})\s*({_NUMBER}))?\s*")
_LONGEST = 500  # characters inside; the time of a mismatch grows with their square
_EXPECTED = "P(1 <= band_gap <= 1.8) >= 0.3 or P(band_gap > 1) >= 0.5 is expected"
_EDGE = 1e-6  # standard deviations by which a bound that counts lies outside, and one that does not lies inside
_LEAST_EDGE = 1e-12  # of the bound, where the standard deviation is zero


class Distribution(Protocol):
    """How the truth lies about what is predicted."""

    def cumulative(self, bounds: np.ndarray, values: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """The probability (n,) that the truth lies below bounds (n,), for values and standard deviations (n,)."""


class Normal:
    """Errors as a normal distribution has them."""

    def cumulative(self, bounds: np.ndarray, values: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """The probability (n,) that the truth lies below bounds (n,)."""
        return np.asarray(ndtr((bounds - values) / np.maximum(stds, np.finfo(float).tiny)))


@dataclass(slots=True)
class _Asked:
    """The probabilities of a filter's text, by the names that stand for them while it is parsed."""

    text: str
    chances: dict[str, Chance] = field(default_factory=dict)

    def stand_in(self, match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]  # a quoted text
        name = f"probability{len(self.chances)}"
        while name in self.text:
            name += "_"
        self.chances[name] = _read(match[2], self.text)
        return name

    def put_back(self, tree: Filter) -> Filter:
        match tree:
            case And(parts):
                return And(tuple(self.put_back(part) for part in parts))
            case Or(parts):
                return Or(tuple(self.put_back(part) for part in parts))
            case Not(part):
                return Not(self.put_back(part))
            case Compare(name, op, float() as value) if name in self.chances:
                if not 0 <= value <= 1:
                    raise InvalidFilter(self.text, f"P(…) {op} {value:g}: a probability from 0 to 1 is expected")
                chance = self.chances[name]
                return Chance(chance.property, chance.within, op, value)
        if not self.chances.keys().isdisjoint(properties_of(tree)):
            raise InvalidFilter(self.text, f"P(…) is compared with a number from 0 to 1; {_EXPECTED}")
        return tree


def parse_screen_filter(text: str) -> Filter:
    """The tree of an OPTIMADE filter in which probabilities may stand; raises InvalidFilter."""
    check_text(text)
    asked = _Asked(text)
    rewritten = _ASKED.sub(asked.stand_in, text.replace("≤", "<=").replace("≥", ">="))
    if not asked.chances and not CHANCE.search(text):
        return parse_filter(text)
    if CHANCE.search(_QUOTED.sub("", rewritten)):
        raise InvalidFilter(text, f"P(…) does not end, or has parentheses inside; {_EXPECTED}")
    try:
        tree = parse_filter(rewritten)
    except InvalidFilter as exc:
        raise type(exc)(text, f"{_why(exc, asked)}; {_EXPECTED}") from exc
    return asked.put_back(tree)


def chances_in(tree: Filter) -> Iterator[Chance]:
    """The probabilities that a filter asks for."""
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                yield from chances_in(part)
        case Not(part):
            yield from chances_in(part)
        case Chance():
            yield tree


def chance_columns(
    tree: Filter, columns: Mapping[str, np.ndarray], shapes: Mapping[str, Distribution]
) -> dict[str, np.ndarray]:
    """A column (n,) for each probability of a filter, from the columns of its property and its standard deviation."""
    return {chance.column(): _chance(chance, columns, shapes) for chance in chances_in(tree)}


def distributions(cards: Sequence[Card]) -> dict[str, Distribution]:
    """By property what the models' cards tell of their errors."""
    found: dict[str, Distribution] = {}
    for card in cards:
        config: Any = card.config
        shapes = dict(config.get("shapes", {}))
        if "shape" in config:
            shapes[card.properties[0]] = config["shape"]
        found |= {name: Recalibration.from_json(shape) for name, shape in shapes.items()}
        if "certainty" in config:
            found[card.properties[0]] = Certainty(**config["certainty"])
    return found


def _read(inside: str, text: str) -> Chance:
    match = _INSIDE.fullmatch(inside) if len(inside) <= _LONGEST else None
    if match is None or (match[2] is None and match[4] is None):
        raise InvalidFilter(text, f"P({inside}): {_EXPECTED}")
    low, left, name, right, high = match.groups()
    within = [(MIRRORED[left], float(low))] if left else []
    within += [(right, float(high))] if right else []
    bounds = {op[0]: bound for op, bound in within}
    if len(bounds) < len(within):
        raise InvalidFilter(text, f"P({inside}): one lower and one upper bound are expected; {_EXPECTED}")
    if bounds.get(">", -np.inf) > bounds.get("<", np.inf):
        raise InvalidFilter(text, f"P({inside}): no value lies from {bounds['>']:g} to {bounds['<']:g}; {_EXPECTED}")
    return Chance(our_name(name), tuple(within), "", 0.0)


def _chance(chance: Chance, columns: Mapping[str, np.ndarray], shapes: Mapping[str, Distribution]) -> np.ndarray:
    values = columns[chance.property]
    stds = columns.get(chance.property + STD, np.full(len(values), np.nan))
    distribution = shapes.get(chance.property, Normal())
    ends = {">": np.full(len(values), -np.inf), "<": np.full(len(values), np.inf)}
    for op, bound in chance.within:
        outward = 1.0 if op in ("<=", ">") else -1.0
        ends[op[0]] = bound + outward * (_EDGE * stds + _LEAST_EDGE * abs(bound))
        if chance.property.removeprefix(STRUCTURE_PREFIX) in NON_NEGATIVE and _before_zero(op, bound):
            ends[op[0]] = np.full(len(values), -np.inf)
    below, upto = (distribution.cumulative(ends[side], values, stds) for side in "><")
    found: np.ndarray = np.clip(upto - below, 0.0, 1.0)
    return np.where(np.isnan(values) | np.isnan(stds), np.nan, found)


def _before_zero(op: str, bound: float) -> bool:
    """Whether a bound parts nothing of a truth that is never below zero; what a distribution says of there belongs to
    zero."""
    return bound < 0 or (bound == 0 and op in (">=", "<"))


def _why(exc: InvalidFilter, asked: _Asked) -> str:
    """The reason of an error, in the words of who asked."""
    why = str(exc.args[-1])
    for name, chance in asked.chances.items():
        why = why.replace(name, chance.column())
    return why.partition("; one such as")[0]
