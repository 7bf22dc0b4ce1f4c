"""Formulas as the tokens of the predictor: one (element, share of the atoms) for each element."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from workers.compositions import parse_formula
from workers.errors import InvalidFormula

_PLAIN = re.compile(r"(?:[A-Z][a-z]?(?:\d+(?:\.\d*)?|\.\d+)?)+")
_TERM = re.compile(r"([A-Z][a-z]?)([\d.]*)")


@dataclass(frozen=True, slots=True)
class Tokens:
    """One formula, its elements in the order of the vocabulary, their numbers there, and their shares of the atoms."""

    elements: tuple[str, ...]
    numbers: tuple[int, ...]
    shares: tuple[float, ...]


class Tokenizer:
    """Reads formulas over a fixed vocabulary of elements."""

    def __init__(self, elements: Sequence[str], longest: int) -> None:
        self.numbers: Mapping[str, int] = {symbol: number for number, symbol in enumerate(elements, start=1)}
        self.longest = longest

    def read(self, formula: str) -> Tokens:
        """The tokens of a formula; raises InvalidFormula."""
        amounts = read_amounts(formula)
        if flaw := self.flaw(amounts):
            raise InvalidFormula(formula, flaw)
        # One order whatever the spelling: sums over tokens would otherwise differ in the last bit.
        elements = sorted(amounts, key=self.numbers.__getitem__)
        total = sum(amounts[symbol] for symbol in elements)
        shares = tuple(amounts[symbol] / total for symbol in elements)
        return Tokens(tuple(elements), tuple(self.numbers[symbol] for symbol in elements), shares)

    def flaw(self, amounts: Mapping[str, float]) -> str | None:
        """Why amounts by element are outside the model, or None."""
        for symbol in amounts:
            if symbol not in self.numbers:
                return f"element {symbol} is unknown to the model, which knows {len(self.numbers)} others"
        if len(amounts) > self.longest:
            return f"{len(amounts)} elements; the model takes at most {self.longest}"
        return None


def read_amounts(formula: str) -> dict[str, float]:
    """Amounts by element, quickly where a formula has no brackets; raises InvalidFormula."""
    if not _PLAIN.fullmatch(formula):
        composition = parse_formula(formula)
        return dict(zip(composition.elements, composition.amounts, strict=True))
    amounts: dict[str, float] = {}
    for symbol, amount in _TERM.findall(formula):
        amounts[symbol] = amounts.get(symbol, 0.0) + (float(amount) if amount else 1.0)
    if min(amounts.values()) <= 0:
        raise InvalidFormula(formula, "an amount of 0; positive amounts are expected")
    return amounts


def identity(shares: Mapping[str, float]) -> str:
    """One text for one composition, whatever the spelling, scale or order of its formula."""
    total = sum(shares.values())
    return " ".join(f"{symbol}{shares[symbol] / total:.6f}" for symbol in sorted(shares))


@cache
def name_of(formula: str) -> str:
    """The identity of a published formula, empty where it spells no composition."""
    try:
        return identity(read_amounts(formula.replace(" ", "")))
    except InvalidFormula:
        return ""


def split_of(name: str) -> str:
    """The fixed split of a composition by the hash of its identity: 10 % test, 5 % val, the rest train."""
    draw = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % 20
    return "test" if draw < 2 else "val" if draw == 2 else "train"
