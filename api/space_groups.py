"""Space groups as people write them: a number, or a Hermann-Mauguin symbol."""

from functools import cache

import click
from pymatgen.symmetry.groups import SpaceGroup

from workers.spacegroups import GROUPS, symbol


def space_group(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """The number of the group that an option's value names; raises BadParameter."""
    number = None if value is None else group_number(value)
    if number is None and value is not None:
        raise click.BadParameter(f"{value!r}: 1 to {GROUPS}, or a symbol such as Fm-3m, is expected")
    return number


def group_number(text: str) -> int | None:
    """The international number that a number or symbol names, in which spaces and underscores do not matter."""
    if text.strip().isdecimal():
        number = int(text)
        return number if 1 <= number <= GROUPS else None
    return _full_symbols().get(_plain(text)) or _short_symbols().get(_plain(text))


@cache
def _full_symbols() -> dict[str, int]:
    return {_plain(name): int(entry["int_number"]) for name, entry in SpaceGroup.sg_encoding.items()}


@cache
def _short_symbols() -> dict[str, int]:
    return {_plain(symbol(number)): number for number in range(1, GROUPS + 1)}


def _plain(text: str) -> str:
    return "".join(text.split()).replace("_", "")
