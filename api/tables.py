"""Tables of candidates for people."""

from collections.abc import Mapping, Sequence
from time import localtime, strftime
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Table

from api.numbers import UNKNOWN, measured, plain
from workers.properties import unit_of

Row = Mapping[str, Any]

WIDE = 200  # characters where nobody looks on: a file or a pipe
STD = "_std"
NAMES = ("campaign", "formula", "verdict", "score")


def printed(what: RenderableType, out: TextIO) -> None:
    """Write something rich, as wide as the terminal or wide where there is none."""
    console(out, None if out.isatty() else WIDE).print(what)


def console(out: TextIO, width: int | None = None) -> Console:
    """A console that shows texts as they are: a name in brackets is no style."""
    return Console(file=out, width=width, highlight=False, markup=False, emoji=False)


def plain_table(*headings: str, right: Sequence[str] = ()) -> Table:
    """An empty table without lines; columns named in `right` are for numbers."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def candidate_table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    """Candidates with each value beside its standard deviation; properties that no row has are left out."""
    given = [name for name in columns if name + STD in columns and any(row[name] is not None for row in rows)]
    headings = {name: heading(name) for name in given}
    table = plain_table(*NAMES, *headings.values(), right=("campaign", "score", *headings.values()))
    for row in rows:
        score = UNKNOWN if row["score"] is None else plain(row["score"], 3)
        values = (measured(name, row[name], row[name + STD]) for name in given)
        table.add_row(str(row["campaign"]), row["formula"], row["verdict"] or UNKNOWN, score, *values)
    return table


def moment(seconds: float | None) -> str:
    """A moment by the clock of this host, nothing where there is none."""
    return "" if seconds is None else strftime("%Y-%m-%d %H:%M:%S", localtime(seconds))


def heading(name: str) -> str:
    """A property with its unit."""
    unit = unit_of(name)
    return f"{name} / {unit}" if unit else name
