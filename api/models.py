"""`sluice models`."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from api.checkpoint_files import export_checkpoint, import_checkpoint
from api.connection import opened
from api.formats import dumps
from api.options import database_option, json_option
from api.own_models import bring, named, next_step, own_cards
from api.tables import plain_table, printed
from workers.cards import pretrained_cards
from workers.generator.kinds import full_name

DIGEST = 12
HEADLINES = ("mae", "balanced_accuracy", "match_within_k", "valid")


@click.group(epilog="\b\nExample: sluice models list")
def models() -> None:
    """The models and their cards."""


@models.command("list", epilog="\b\nExample: sluice models list --json")
@json_option
@database_option
def list_models(as_json: bool, url: str | None) -> None:
    """Name and measured figures of each model, shipped or your own; the JSON holds the whole cards."""
    cards = [*pretrained_cards(), *own_cards(url)]
    if as_json:
        click.echo(dumps([asdict(card) for card in cards], indent=2))
        return
    table = plain_table("name", "weights", "metrics")
    for card in cards:
        table.add_row(card.name, card.model_id[:DIGEST], _metrics(card.metrics))
    printed(table, sys.stdout)


@models.command("import", epilog="\b\nExample: sluice models import ckpt.pt --name crystallm-small")
@click.argument("source", metavar="FILE|FOLDER", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, help="What the model is to be called.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="A new folder for a generator; else ./NAME."
)
@click.option("--yes", is_flag=True, help="Replace a predictor of your own that goes by this name.")
@database_option
def import_model(source: Path, name: str, out: Path | None, yes: bool, url: str | None) -> None:
    """Bring a generator that CrystaLLM's or Materium's authors publish, or the folder of an exported predictor.

    A generator is kept in a folder, a predictor in the database; nothing in the file is run.
    """
    if source.is_dir():
        with opened(url, create=True) as engine:
            bring(engine, source, name, yes)
        click.echo(f"{name} is kept; try next: {next_step(name, url)}", err=True)
        return
    folder = out or Path(name)
    import_checkpoint(source, name, folder)
    click.echo(f"{name} in {folder}; try next: sluice generate BaTe --generator {folder}", err=True)


@models.command("export", epilog="\b\nExample: sluice models export crystal-generator --out my-generator")
@click.argument("name", metavar="NAME")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="A new folder; else ./NAME.")
@database_option
def export_model(name: str, out: Path | None, url: str | None) -> None:
    """Copy a checkpoint, weights and card, to a folder of its own."""
    folder = out or Path(Path(name).name)
    card = export_checkpoint(named(full_name(name), url).path, folder)
    click.echo(f"{card.name} in {folder}", err=True)


def _metrics(metrics: Mapping[str, object], prefix: str = "") -> str:
    """The headline figures: mean absolute errors, match rates and validity, each under the name of its table."""
    found = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found.append(_metrics(value, f"{prefix}{name}: "))
        elif name in HEADLINES and isinstance(value, int | float):
            found.append(f"{prefix}{name} {value:g}")
    return "\n".join(line for line in found if line)
