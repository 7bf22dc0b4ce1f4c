"""How crystals are drawn, and the options that say so."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from math import isnan
from typing import Any, Literal

import click

from api.space_groups import space_group
from workers.generator.conditions import CONDITIONS, Condition, check
from workers.generator.symmetry.vocabulary import MAX_ATOMS

MOST = 100_000
RANKINGS = ("likelihood", "energy", "both")
Ranking = Literal["likelihood", "energy", "both"]
Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many crystals of each formula, from which seed, how freely, under which limits, and which come first."""

    count: int
    seed: int
    temperature: float = 0.7
    top_p: float = 1.0
    space_group: int | None = None
    wanted: tuple[tuple[str, float], ...] = ()  # conditions by name, in their own units
    guidance: float = 1.0
    units: int | None = None
    charge_balanced: bool = False
    max_atoms: int = 20
    rank: Ranking = "likelihood"


class Number(click.FloatRange):
    """A number within bounds, which `nan` is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


def _wish(condition: Condition) -> str:
    return f"Wanted: {condition.low:g} to {condition.high:g} {condition.unit}".rstrip() + "."


OPTIONS = (
    click.option(
        "-n", "count", type=click.IntRange(1, MOST), default=1, show_default=True, help="Crystals of each formula."
    ),
    click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True),
    click.option("--temperature", type=Number(0, 5, min_open=True), default=0.7, show_default=True),
    click.option("--top-p", type=Number(0, 1, min_open=True), default=1.0, show_default=True, help="Share drawn from."),
    click.option("--space-group", callback=space_group, metavar="GROUP", help="Number, or a symbol such as Fm-3m."),
    *(click.option(f"--{c.name.replace('_', '-')}", type=float, metavar="X", help=_wish(c)) for c in CONDITIONS),
    click.option("--guidance", type=Number(0, 20), default=1.0, show_default=True, help="Weight of what is wanted."),
    click.option("--units", type=click.IntRange(min=1), metavar="Z", help="Formula units in the primitive cell."),
    click.option("--charge-balanced", is_flag=True, help="Only formulas that common oxidation states make neutral."),
    click.option(
        "--max-atoms", type=click.IntRange(1, MAX_ATOMS), default=20, show_default=True, help="Largest primitive cell."
    ),
    click.option(
        "--rank", type=click.Choice(RANKINGS), default="likelihood", show_default=True, help="First is best by."
    ),
)


def sampling_options(command: Command) -> Command:
    """Give a command the options of sampling, and their values as the one argument `sampling`."""

    @wraps(command)
    def asked(*arguments: Any, **options: Any) -> None:
        own = {name: options.pop(name) for name in Sampling.__slots__ if name in options}
        values = [(condition.name, options.pop(condition.name)) for condition in CONDITIONS]
        wanted = tuple((name, value) for name, value in values if value is not None)
        for name, value in wanted:
            check(name, value)
        command(*arguments, sampling=Sampling(**own, wanted=wanted), **options)

    for option in reversed(OPTIONS):
        asked = option(asked)
    return asked
