"""Files that figures are drawn to, and the options that ask for them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

Command = Callable[..., None]

SUFFIXES = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class Plot:
    """Which figure goes to which file."""

    path: Path
    kind: str


def figure_file(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """A file whose suffix tells its format, before anything is computed for it; raises BadParameter."""
    if value is None:
        return None
    path = Path(value)
    if path.suffix.lower() not in SUFFIXES:
        raise click.BadParameter(f"{value}: a name that ends in {' or '.join(SUFFIXES)} is expected")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise click.BadParameter(f"{value}: a file in a folder that exists is expected")
    try:
        with TemporaryFile(dir=path.absolute().parent):  # what permissions say, a disk may not do
            return path
    except OSError as exc:
        raise click.BadParameter(f"{value}: {exc.strerror}; a folder that can be written to is expected") from exc


def figure_options(*kinds: str) -> Callable[[Command], Command]:
    """Give a command --plot and --figure, the first kind being the default, as the one argument `plot`."""

    def give(command: Command) -> Command:
        @wraps(command)
        def asked(*arguments: Any, plot_file: Path | None, figure: str | None, **options: Any) -> None:
            if plot_file is None and figure is not None:
                raise click.UsageError(f"--figure {figure} needs --plot FILE")
            plot = None if plot_file is None else Plot(plot_file, figure or kinds[0])
            command(*arguments, plot=plot, **options)

        what = click.option("--figure", type=click.Choice(kinds), help=f"What --plot draws; else {kinds[0]}.")
        where = click.option(
            "--plot", "plot_file", callback=figure_file, metavar="FILE", help="Draw it to a .png or .svg file."
        )
        return where(what(asked))

    return give
