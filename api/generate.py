"""`sluice generate`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from api.lazy_group import load
from api.options import no_database_option
from api.outputs import check_folder
from api.sampling import Sampling, sampling_options
from workers.compositions import parse_formula
from workers.errors import InvalidFormula, UserError

DIGITS = 3
GRAMMARS = ("symmetry", "materium")


@click.command(epilog="\b\nExample: sluice generate BaTe Cs2TiBr6 -n 8 --out crystals --seed 1")
@click.argument("texts", metavar="[FORMULA]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), default=Path("."), show_default=True, help="Folder.")
@click.option("--generator", metavar="NAME", help="Model by name or folder; crystallm writes CIF text.")
@click.option("--grammar", type=click.Choice(GRAMMARS), help="The shipped model that writes in this one.")
@sampling_options
@no_database_option
def generate(texts: tuple[str, ...], out: Path, generator: str | None, grammar: str | None, sampling: Sampling) -> None:
    """Crystal structures as CIF files, FORMULA-000.cif first, the likeliest first.

    Without FORMULA the model proposes compositions, and so many crystals are written in all.
    """
    formulas = list(dict.fromkeys(_whole_formula(text, sampling) for text in texts))
    model = load("api.local_crystals:asked_generator")(generator, grammar)
    folder = check_folder(out)
    # Torch takes seconds to import, so all that can be mistaken is read first.
    written, missing = _write(folder, load("api.local_crystals:draw")(formulas, model, sampling))
    if missing:
        more = f"; no crystals of {len(missing) - 1} other formulas either" if len(missing) > 1 else ""
        done = f"; crystals of the others are in {folder}: {_files(written)}" if written else ""
        raise UserError(f"{missing[0]}{more}{done}")
    click.echo(f"{_files(written)} in {folder}", err=True)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _write(folder: Path, drawn: Iterable[Any]) -> tuple[int, list[str]]:
    """How many crystals were written as they came, and which could not be had."""
    write_crystal = load("api.crystal_files:write_crystal")
    written, missing = 0, []
    for one in drawn:
        if one.flaw is not None:
            missing.append(f"formula {one.formula!r}: {one.flaw}" if one.formula else one.flaw)
        for number, crystal in enumerate(one.crystals):
            write_crystal(folder / f"{one.formula}-{number:0{DIGITS}d}.cif", crystal)
            written += 1
    return written, missing


def _whole_formula(text: str, sampling: Sampling) -> str:
    composition = parse_formula(text)
    if not composition.integral:
        raise InvalidFormula(text, "fractional amounts have no cell; whole numbers are expected")
    units = sampling.units or 1
    if composition.atoms * units > sampling.max_atoms:
        where = "one formula unit" if units == 1 else f"{units} formula units"
        what = f"{composition.atoms * units:g} atoms in {where}"
        raise InvalidFormula(text, f"{what}; at most {sampling.max_atoms} are accepted (--max-atoms)")
    return composition.formula
