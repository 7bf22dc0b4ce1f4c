"""`sluice generate`."""

from pathlib import Path
from typing import Any

import click

from api.lazy_group import load
from api.options import no_database_option
from api.outputs import check_folder
from api.sampling import Sampling
from workers.compositions import parse_formula
from workers.errors import InvalidFormula

DIGITS = 3


@click.command(epilog="\b\nExample: sluice generate BaTe Cs2TiBr6 -n 8 --out crystals --seed 1")
@click.argument("texts", metavar="FORMULA...", nargs=-1, required=True)
@click.option("-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Crystals of each formula.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("."), show_default=True, help="Folder.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--generator", default="crystal-generator", show_default=True, metavar="NAME")
@click.option("--temperature", type=click.FloatRange(0, 5, min_open=True), default=0.7, show_default=True)
@click.option("--space-group", type=click.IntRange(1, 230), help="International number.")
@click.option("--max-atoms", type=click.IntRange(min=1), default=20, show_default=True, help="Largest cell.")
@no_database_option
def generate(texts: tuple[str, ...], out: Path, generator: str, **options: Any) -> None:
    """Crystal structures of formulas as CIF files, FORMULA-000.cif first, the likeliest first."""
    sampling = Sampling(**options)
    formulas = list(dict.fromkeys(_whole_formula(text, sampling.max_atoms) for text in texts))
    folder = check_folder(out)
    crystals = load("api.local_crystals:generate")(formulas, generator, sampling)
    write_crystal = load("api.crystal_files:write_crystal")
    for formula, drawn in zip(formulas, crystals, strict=True):
        for number, crystal in enumerate(drawn):
            write_crystal(folder / f"{formula}-{number:0{DIGITS}d}.cif", crystal)
    click.echo(f"{sampling.count * len(formulas)} files in {folder}", err=True)


def _whole_formula(text: str, max_atoms: int) -> str:
    composition = parse_formula(text)
    if not composition.integral:
        raise InvalidFormula(text, "fractional amounts have no cell; whole numbers are expected")
    if composition.atoms > max_atoms:
        what = f"{composition.atoms:g} atoms in one formula unit"
        raise InvalidFormula(text, f"{what}; at most {max_atoms} are accepted (--max-atoms)")
    return composition.formula
