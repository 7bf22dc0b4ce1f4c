"""Explanations in words and bars."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from api.numbers import plain
from workers.properties import unit_of

WIDTH = 30
RAISES = "green"
LOWERS = "red"


def main_reason(explanation: Mapping[str, Any]) -> str:
    """The strongest interaction, as in `Te lowers band_gap by 0.82 eV`."""
    players, amount = _strongest_first(explanation)[0]
    verb = "raises" if amount >= 0 else "lowers"
    if len(players) > 1:
        verb = verb.removesuffix("s")
    return f"{_who(players)} {verb} {explanation['property']} by {plain(abs(amount), 2)} {_unit(explanation)}".rstrip()


def bars(explanation: Mapping[str, Any]) -> Table:
    """The baseline, every interaction as a bar, and the value that they add up to."""
    interactions = _strongest_first(explanation)
    largest = max((abs(amount) for _, amount in interactions), default=0.0) or 1.0
    title = f"{explanation['property']} / {_unit(explanation)} ({explanation['index']}, order {explanation['order']})"
    table = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_row("baseline", plain(explanation["baseline"], 3), "", "")
    errors = _errors(explanation)
    for players, amount in interactions:
        error = f"± {errors[tuple(players)]:.3f}" if errors else ""
        table.add_row(" × ".join(players), f"{amount:+.3f}", error, _bar(amount, largest))
    table.add_row("prediction", plain(explanation["value"], 3), "", "")
    if errors:
        table.caption = f"estimated from {explanation['budget']:,} coalitions; ± is one standard error"
        table.caption_justify = "left"
    return table


def _errors(explanation: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """The standard errors of an estimate by players; nothing for what is exact."""
    errors = explanation.get("errors") or ()
    sets = [tuple(players) for players, _ in explanation["interactions"]]
    return dict(zip(sets, errors, strict=True)) if errors else {}


def _strongest_first(explanation: Mapping[str, Any]) -> list[tuple[Sequence[str], float]]:
    pairs = [(players, float(amount)) for players, amount in explanation["interactions"]]
    return sorted(pairs, key=lambda pair: (-abs(pair[1]), tuple(pair[0])))


def _who(players: Sequence[str]) -> str:
    return players[0] if len(players) == 1 else f"{', '.join(players[:-1])} and {players[-1]} together"


def _unit(explanation: Mapping[str, Any]) -> str:
    return unit_of(explanation["property"])


def _bar(amount: float, largest: float) -> Text:
    length = max(1, round(WIDTH * abs(amount) / largest)) if amount else 0
    return Text("█" * length, style=RAISES if amount >= 0 else LOWERS)
