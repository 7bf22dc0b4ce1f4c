"""`sluice data`."""

import sys
from dataclasses import asdict
from pathlib import Path
from re import fullmatch

import click

from api.connection import opened
from api.formats import dumps
from api.numbers import UNKNOWN, counted, plain
from api.options import database_option, json_option
from api.tables import moment, plain_table, printed
from scheduler.references import LEVEL, fetch_references, import_references
from scheduler.settings import materials_project
from storage.engine import reading
from storage.references import NewSet, ReferenceSet, named_sets
from workers.errors import UserError
from workers.materials_project import Asked, MaterialsProject, Site, parse_system
from workers.references import Flawed

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
TAKEN = ("estimate", "new")  # what results say where no set is meant
SHOWN = 20  # bad rows
name_option = click.option("--name", metavar="NAME", help="What to call the set; a former one of this name gives way.")


@click.group(epilog="\b\nExample: sluice data import my-structures.json --name mine --level PBE")
def data() -> None:
    """Known structures and their energies: the hull and the novelty of candidates are judged by them."""


@data.command("import", epilog="\b\nExample: sluice data import entries.json --name mine --level PBE")
@click.argument("path", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@name_option
@click.option("--level", default="not stated", metavar="TEXT", help="The level of theory of the energies.")
@database_option
def import_file(path: Path, name: str | None, level: str, url: str | None) -> None:
    """Take structures from Parquet, JSON or a folder of CIF files.

    JSON: a list of pymatgen's ComputedStructureEntry, or of objects with `structure` and an energy. Parquet: columns
    `lattice`, `species`, `frac_coords`, or `structure`, or `cif`, and an energy. The energy is
    `formation_energy_per_atom`, `energy_per_atom` or `energy` (of the cell). Without energies they count for novelty
    only.
    """
    new = NewSet(_checked(name or path.name.partition(".")[0]), level, {"file": str(path.absolute())})
    teller = _Teller()
    with opened(url, create=True) as engine:
        held = import_references(engine, path, new, teller.tell, teller.say)
    teller.end(held)


@data.command("fetch-mp", epilog="\b\nExample: sluice data fetch-mp --chemsys Ba-Te-O --max-e-above-hull 0.1")
@click.option(
    "--chemsys", "--elements", "systems", multiple=True, metavar="A-B-C",
    help="Only this chemical system and those within it; repeatable. Else everything.",
)  # fmt: skip
@click.option(
    "--max-e-above-hull", type=click.FloatRange(min=0), default=0.1, show_default=True, metavar="EV",
    help="Leave out what lies higher, eV/atom.",
)  # fmt: skip
@name_option
@database_option
def fetch_mp(systems: tuple[str, ...], max_e_above_hull: float, name: str | None, url: str | None) -> None:
    """Fetch structures and formation energies from the Materials Project, with the key in MP_API_KEY.

    Stopped half-way, the same command goes on where it was.
    """
    asked = Asked(tuple(parse_system(system) for system in systems), max_e_above_hull)
    site = Site(*materials_project())
    new = NewSet(_checked(name or "materials-project"), LEVEL, {"site": site.url})
    teller = _Teller()
    with opened(url, create=True) as engine:
        held = fetch_references(engine, MaterialsProject(site), asked, new, teller.tell, teller.say)
    teller.end(held)


@data.command("list", epilog="\b\nExample: sluice data list --json")
@json_option
@database_option
def list_sets(as_json: bool, url: str | None) -> None:
    """The sets of references, the latest first; the spread says how well their energies compare with predicted ones."""
    with opened(url) as engine, reading(engine) as session:
        sets = named_sets(session)
    if as_json:
        click.echo(dumps([asdict(held) for held in sets], indent=2))
        return
    table = plain_table("name", "structures", "level of theory", "spread / eV/atom", "since", right=("structures",))
    for held in sets:
        table.add_row(held.title, counted(held.entries), held.level, _spread(held), moment(held.finished_at))
    printed(table, sys.stdout)


class _Teller:
    """What is said on the way, and of bad rows the first ones."""

    def __init__(self) -> None:
        self._flaws = 0

    def tell(self, flawed: Flawed) -> None:
        """Say why a row was left out."""
        self._flaws += 1
        if self._flaws <= SHOWN:
            click.echo(f"  {flawed.place}: {flawed.reason}", err=True)

    def say(self, progress: str) -> None:
        """Say how far it is."""
        click.echo(progress, err=True)

    def end(self, held: ReferenceSet) -> None:
        """Say what came of it."""
        if self._flaws:
            click.echo(f"{counted(self._flaws)} rows left out", err=True)
        hull = f"hull and novelty, spread {_spread(held)} eV/atom"
        used = hull if held.scale else "novelty only: no energies, or too few"
        click.echo(f"{held.title}: {counted(held.entries)} structures ({used}); campaigns begun from now on use them")


def _checked(name: str) -> str:
    if not fullmatch(NAME, name) or name in TAKEN:
        raise UserError(f"--name {name!r}: letters, digits, dots, - and _ are expected, and not {' or '.join(TAKEN)}")
    return name


def _spread(held: ReferenceSet) -> str:
    spreads = [scale["spread"] for scale in (held.scale or {}).values()]
    return plain(spreads[0], 3) if spreads else UNKNOWN
