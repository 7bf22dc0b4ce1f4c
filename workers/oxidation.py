"""Common oxidation states of the elements, and those that a compound's atoms are likely to have."""

import json
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import product
from math import log, prod
from pathlib import Path

_FILE = Path(__file__).parent / "data" / "oxidation_states.json"
MOST_CHOICES = 20_000

Table = dict[str, tuple[int, ...]]


@cache
def _tables() -> tuple[Table, Table]:
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple({symbol: tuple(row) for symbol, row in found[name].items()} for name in ("states", "reports"))  # type: ignore[return-value]


def oxidation_states() -> Table:
    """Common oxidation states by element symbol: those in more than 5 % of the element's ICSD reports (SMACT)."""
    return _tables()[0]


@lru_cache(maxsize=100_000)
def likely_states(symbols: tuple[str, ...], amounts: tuple[int, ...]) -> tuple[int, ...] | None:
    """The neutral choice of one state for each element that is reported most; None where no choice is neutral."""
    states, reports = _tables()
    rows = [
        sorted(zip(reports.get(symbol, ()), states.get(symbol, ()), strict=True), reverse=True) for symbol in symbols
    ]
    if not all(rows):
        return None
    while prod(map(len, rows)) > MOST_CHOICES:
        longest = max(rows, key=len)
        longest.pop()
    totals = [sum(count for count, _ in row) for row in rows]
    neutral = (
        choice
        for choice in product(*rows)
        if sum(amount * state for amount, (_, state) in zip(amounts, choice, strict=True)) == 0
    )
    best = max(neutral, key=lambda choice: _weight(choice, totals), default=None)
    return None if best is None else tuple(state for _, state in best)


@lru_cache(maxsize=100_000)
def can_be_neutral(symbols: tuple[str, ...], amounts: tuple[int, ...]) -> bool:
    """Whether common states of the atoms, not all of one element alike, can add up to zero."""
    sums = {0}
    for symbol, amount in zip(symbols, amounts, strict=True):
        states = oxidation_states().get(symbol, ())
        for _ in range(amount):
            sums = {total + state for total in sums for state in states}
    return 0 in sums


def _weight(choice: Sequence[tuple[int, int]], totals: Sequence[int]) -> float:
    return sum(log(count / total) for (count, _), total in zip(choice, totals, strict=True))
