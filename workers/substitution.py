"""Compositions made of known ones by replacing elements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from workers.compositions import INERT, SUPPORTED, Composition, from_amounts
from workers.errors import InvalidSubstitution
from workers.oxidation import can_be_neutral


@dataclass(frozen=True, slots=True)
class Substitution:
    """Which elements may take the place of others, and whether only neutral compositions are made.

    Raises InvalidSubstitution.
    """

    replace: Mapping[str, Sequence[str]]
    charge_balanced: bool = False

    def __post_init__(self) -> None:
        if not self.replace:
            raise InvalidSubstitution("it is empty; elements and lists of those that take their place are expected")
        for symbol, others in self.replace.items():
            _check(symbol, others)

    def of(self, known: Composition) -> Iterator[Composition]:
        """All that comes of replacing at least one element, in a fixed order; no two become one."""
        choices = [(symbol, *self.replace.get(symbol, ())) for symbol in known.elements]
        for symbols in product(*choices):
            if symbols != known.elements and len(set(symbols)) == len(symbols):
                made = from_amounts(dict(zip(symbols, known.amounts, strict=True)))
                if not self.charge_balanced or _neutral(made):
                    yield made


def _neutral(made: Composition) -> bool:
    return made.integral and can_be_neutral(made.elements, tuple(map(round, made.amounts)))


def _check(symbol: str, others: Sequence[str]) -> None:
    for name in (symbol, *others):
        if name not in SUPPORTED or name in INERT:
            raise InvalidSubstitution(f"{name!r} is no element of H to Lr that forms compounds")
    if not others:
        raise InvalidSubstitution(f"nothing takes the place of {symbol}; element symbols are expected")
    if symbol in others or len(set(others)) < len(others):
        raise InvalidSubstitution(f"{symbol} = {list(others)}: different elements other than {symbol} are expected")
