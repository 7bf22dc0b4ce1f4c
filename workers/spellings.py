"""Other spellings of a reduced formula: OPTIMADE's, with whole numbers only."""

import re
from collections.abc import Iterable
from itertools import count, product
from math import gcd
from string import ascii_lowercase, ascii_uppercase

_PART = re.compile(r"([A-Z][a-z]?)([0-9.]*)")
_GROUP = re.compile(r"\(([^()]*)\)([0-9.]*)")


def spellings(formula: str) -> tuple[str, str] | tuple[None, None]:
    """The reduced formula, its elements in alphabetical order, and the anonymous one, A, B, C … with the largest
    number first; None where an amount is no whole one.
    """
    amounts = _amounts(formula)
    if amounts is None:
        return None, None
    largest = sorted(amounts.values(), reverse=True)
    return spelled(sorted(amounts.items())), spelled(zip(_letters(), largest, strict=False))


def formula_hill(formula: str) -> str | None:
    """The elements in Hill's order, or None where an amount is no whole one."""
    amounts = _amounts(formula, reduce=False)
    if amounts is None:
        return None
    carbon = "C" in amounts
    return spelled(sorted(amounts.items(), key=lambda item: (_hill(item[0], carbon), item[0])))


def spelled(amounts: Iterable[tuple[str, int]]) -> str:
    """The symbols, each with its number unless that is one."""
    return "".join(symbol if amount == 1 else f"{symbol}{amount}" for symbol, amount in amounts)


def _amounts(formula: str, reduce: bool = True) -> dict[str, int] | None:
    flat = _GROUP.sub(_opened, formula) if "(" in formula else formula
    amounts: dict[str, int] = {}
    for symbol, digits in _PART.findall(flat):
        if "." in digits:
            return None
        amounts[symbol] = amounts.get(symbol, 0) + (int(digits) if digits else 1)
    factor = gcd(*amounts.values()) if reduce else 1
    return {symbol: amount // factor for symbol, amount in amounts.items()}


def _opened(group: re.Match[str]) -> str:
    times = group[2] or "1"
    if "." in group[0]:
        return f"{group[1]}."  # a fraction anywhere makes the whole formula one of fractions
    return "".join(f"{symbol}{int(digits or 1) * int(times)}" for symbol, digits in _PART.findall(group[1]))


def _letters() -> Iterable[str]:
    """A … Z, Aa, Ba … Za, Ab …: as many as any formula needs."""
    yield from ascii_uppercase
    for length in count(1):
        for tail in product(ascii_lowercase, repeat=length):
            yield from (letter + "".join(tail) for letter in ascii_uppercase)


def _hill(symbol: str, carbon: bool) -> int:
    return {"C": 0, "H": 1}.get(symbol, 2) if carbon else 2
