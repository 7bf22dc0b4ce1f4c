"""Chemical compositions and their canonical formula."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from pymatgen.core import Composition as PymatgenComposition
from pymatgen.core.composition import CompositionError

from workers.errors import InvalidFormula
from workers.symbols import SYMBOLS

SUPPORTED = SYMBOLS
INERT: frozenset[str] = frozenset({"He", "Ne", "Ar"})  # no compounds, and no electronegativity to spell a formula by
MAX_LENGTH = 200
_ACCEPTED = "a formula such as CsPbI3 or Ca3(PO4)2 is expected"
_STRANGE = re.compile(r"[^A-Za-z0-9.()\[\]{}]|(?<=[0-9.])[a-z]")
_INERT = re.compile("(?:He|Ne|Ar)(?![a-z])")
_ZERO = re.compile(r"[A-Za-z)\]}](0+(?:\.0*)?|\.0+)(?![0-9.])")
_INTEGRAL = 1e-8
_SMALLEST_AMOUNT = 1e-4
_KNOWN = frozenset(SUPPORTED)


@dataclass(frozen=True, slots=True)
class Composition:
    """A reduced formula in pymatgen's spelling, with its elements and amounts in the order of the formula."""

    formula: str
    elements: tuple[str, ...]
    amounts: tuple[float, ...]

    @property
    def integral(self) -> bool:
        """Whether every amount is a whole number, as a crystal's cell needs."""
        return all(abs(amount - round(amount)) < _INTEGRAL for amount in self.amounts)

    @property
    def atoms(self) -> float:
        """Atoms in one reduced formula unit."""
        return sum(self.amounts)


def parse_formula(text: str) -> Composition:
    """The composition that a formula spells; raises InvalidFormula."""
    compact = "".join(text.split())
    _check_spelling(text, compact)
    try:
        parsed = PymatgenComposition(compact, strict=False)
    except (ValueError, CompositionError, KeyError, OverflowError, RecursionError) as exc:
        raise InvalidFormula(text, _why(exc)) from exc
    return _reduced(parsed, text)


def from_amounts(amounts: Mapping[str, float]) -> Composition:
    """The composition of these amounts by element symbol; raises InvalidFormula."""
    return _reduced(PymatgenComposition(dict(amounts)), str(dict(amounts)))


def _check_spelling(text: str, compact: str) -> None:
    if not compact:
        raise InvalidFormula(text, f"empty; {_ACCEPTED}")
    if len(compact) > MAX_LENGTH:
        raise InvalidFormula(text[:40] + "…", f"{len(compact)} characters; at most {MAX_LENGTH} are accepted")
    if strange := _STRANGE.search(compact):
        raise InvalidFormula(text, f"{strange[0]!r} has no place in a formula; {_ACCEPTED}")
    if zero := _ZERO.search(compact):
        raise InvalidFormula(text, f"an amount of {zero[1]}; at least {_SMALLEST_AMOUNT:g} is expected")
    if inert := _INERT.search(compact):
        raise InvalidFormula(text, f"{inert[0]} forms no compounds; elements other than He, Ne and Ar are expected")


def _reduced(parsed: PymatgenComposition, text: str) -> Composition:
    amounts = {str(symbol): float(amount) for symbol, amount in parsed.get_el_amt_dict().items()}
    _check(amounts, text)
    formula, factor = parsed.get_reduced_formula_and_factor()
    ordered = sorted(amounts, key=lambda symbol: _position(formula, symbol))
    return Composition(formula, tuple(ordered), tuple(_rounded(amounts[symbol] / factor) for symbol in ordered))


def _rounded(amount: float) -> float:
    return float(round(amount)) if abs(amount - round(amount)) < _INTEGRAL else round(amount, 8)


def _position(formula: str, symbol: str) -> int:
    place = formula.find(symbol)
    while len(symbol) == 1 and formula[place + 1 : place + 2].islower():
        place = formula.find(symbol, place + 1)  # "C" must not be found inside "Cl"
    return place


def _check(amounts: Mapping[str, float], text: str) -> None:
    if not amounts:
        raise InvalidFormula(text, f"no element; {_ACCEPTED}")
    for symbol, amount in amounts.items():
        if symbol not in _KNOWN:
            raise InvalidFormula(text, f"{symbol!r} is not an element of H to Lr")
        if not isfinite(amount) or amount < _SMALLEST_AMOUNT:
            raise InvalidFormula(text, f"amount {amount:g} of {symbol}; at least {_SMALLEST_AMOUNT:g} is expected")


def _why(exc: Exception) -> str:
    message = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
    return f"{message.rstrip('!')}; {_ACCEPTED}"
