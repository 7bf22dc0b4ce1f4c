"""`sluice train`."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from api.connection import opened
from api.formats import dumps
from api.lazy_group import load
from api.options import database_option, json_option
from api.outputs import check_folder
from api.own_models import check_name, keep, next_step
from workers.cards import Card
from workers.errors import UserError

MOST_EPOCHS = 1000


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be learned from which file, and how long."""

    data: Path
    formula_column: str
    target: str
    name: str
    classification: bool
    unit: str
    epochs: int | None
    seed: int

    def command(self) -> str:
        """The command line that asks for the same."""
        values = {"--data": self.data, "--formula-column": self.formula_column, "--target": self.target}
        values |= {"--name": self.name, "--unit": self.unit, "--epochs": self.epochs, "--seed": self.seed}
        words = [word for key, value in values.items() if value not in ("", None) for word in (key, str(value))]
        return shlex.join(["sluice", "train", "predictor", *words, *["--classification"] * self.classification])


@click.group(epilog="\b\nExample: sluice train predictor --help")
def train() -> None:
    """Models of your own."""


@train.command(
    epilog="\b\nExample: sluice train predictor --data hardness.csv --formula-column composition"
    "\n         --target hardness --unit GPa --name hardness"
    "\n         sluice predict --model hardness WC TiN"
)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="A CSV file (.gz, .zst too) or Parquet.")
@click.option("--formula-column", required=True, metavar="COLUMN", help="Where the formulas are.")
@click.option("--target", required=True, metavar="COLUMN", help="What is to be predicted.")
@click.option("--name", required=True, help="What the property and its model are to be called.")
@click.option("--classification", is_flag=True, help="The target is one of two classes, not a number.")
@click.option("--unit", default="", help="The target's unit, as it is to be shown.")
@click.option("--epochs", type=click.IntRange(1, MOST_EPOCHS), help="Passes over the table, instead of the recipe's.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path(), metavar="FOLDER", help="For the two figures.")
@click.option("--yes", is_flag=True, help="Replace a model of your own that goes by this name.")
@json_option
@database_option
def predictor(out: Path, yes: bool, as_json: bool, url: str | None, **options: Any) -> None:
    """Learn a property from a table of formulas, measure how well, and keep the predictor in the database."""
    order = Order(**options)
    if order.formula_column == order.target:
        raise UserError(f"--target {order.target!r}: the column of formulas; another column is expected")
    if order.unit and order.classification:
        raise UserError(f"--unit {order.unit!r}: classes have no unit")
    folder = check_folder(out)
    with opened(url, create=True) as engine:
        check_name(engine, order.name, yes)
        with TemporaryDirectory() as draft:
            card, trials = _learn(order, Path(draft))
            keep(engine, Path(draft))  # before anything else can fail: it took minutes
    _tell(card, load("api.training_figures:draw_trials")(card, trials, folder), as_json)
    click.echo(f"try next: {next_step(card.name, url)}", err=True)


def _learn(order: Order, draft: Path) -> tuple[Card, Any]:
    """The checkpoint in the draft folder: its card, and how it fared on rows held out."""
    # Torch and scikit-learn take seconds to import, so mistakes in the options are answered first.
    making, reading = "workers.predictors.tuning.making", "workers.predictors.tuning.user_table"
    asked = load(f"{reading}:Asked")(order.data, order.formula_column, order.target, order.classification)
    start = load(f"{making}:load_start")()
    table = load(f"{reading}:read_table")(asked, start.base.elements)
    for line in _told(table):
        click.echo(line, err=True)
    recipe = load("workers.predictors.tuning.learning:TABLES")
    if order.epochs is not None:
        recipe = replace(recipe, epochs=order.epochs)
    wanted = load(f"{making}:Wanted")(order.name, order.unit, order.seed, order.command())
    card, trials = load(f"{making}:make")(start, table, wanted, recipe, draft, _progress)
    return card, trials


def _told(table: Any) -> list[str]:
    """What people should know of their table before it is learned."""
    lines = [f"{table.rows:,} rows, {len(table.sheet):,} compositions"]
    if table.classes:
        lines[0] += f"; what is told is how likely it is {table.classes[1]!r}, not {table.classes[0]!r}"
    if table.repeated:
        how = "the class of most rows" if table.classes else "the median"
        differing = f"{table.differing:,} of them with different targets"
        lines.append(f"{table.repeated:,} compositions occur more than once, {differing}: merged to {how}")
    if table.bad:
        lines.append(f"{table.bad:,} rows left out:")
        lines += [f"  {line}" for line in table.bad_lines]
        if table.bad > len(table.bad_lines):
            lines.append(f"  and {table.bad - len(table.bad_lines):,} more")
    return lines


def _progress(done: int, parts: int) -> None:
    click.echo(f"part {done} of {parts} learned", err=True)


def _tell(card: Card, figures: tuple[Path, Path], as_json: bool) -> None:
    if as_json:
        click.echo(dumps(asdict(card) | {"figures": [str(path) for path in figures]}, indent=2))
    else:
        click.echo(f"{card.name}: {card.data}")
        click.echo("on rows held out in turn:")
        for line in _metrics(card.metrics, str(card.config.get("unit", ""))):
            click.echo(f"  {line}")
        click.echo(f"figures: {figures[0]}, {figures[1]}")


def _metrics(metrics: Mapping[str, object], unit: str) -> list[str]:
    in_unit = ("mae", "rmse", "mae_of_the_median")
    return [f"{name}: {value}" + (f" {unit}" if unit and name in in_unit else "") for name, value in metrics.items()]
