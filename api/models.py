"""`sluice models`."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from api.checkpoint_files import export_checkpoint, import_checkpoint
from api.formats import dumps
from api.options import json_option, no_database_option
from api.tables import plain_table, printed
from workers.cards import pretrained_cards

DIGEST = 12
HEADLINES = ("mae", "match_within_k", "valid")


@click.group(epilog="\b\nExample: sluice models list")
def models() -> None:
    """The models and their cards."""


@models.command("list", epilog="\b\nExample: sluice models list --json")
@json_option
@no_database_option
def list_models(as_json: bool) -> None:
    """Name and measured figures of each model; the JSON holds the whole cards."""
    cards = pretrained_cards()
    if as_json:
        click.echo(dumps([asdict(card) for card in cards], indent=2))
        return
    table = plain_table("name", "weights", "metrics")
    for card in cards:
        table.add_row(card.name, card.model_id[:DIGEST], _metrics(card.metrics))
    printed(table, sys.stdout)


@models.command("import", epilog="\b\nExample: sluice models import ckpt.pt --name crystallm-small")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the model is to be called.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="A new folder; else ./NAME.")
@no_database_option
def import_model(file: Path, name: str, out: Path | None) -> None:
    """Read a generator that CrystaLLM's or Materium's authors publish; nothing in the file is run."""
    folder = out or Path(name)
    import_checkpoint(file, name, folder)
    click.echo(f"{name} in {folder}; try next: sluice generate BaTe --generator {folder}", err=True)


@models.command("export", epilog="\b\nExample: sluice models export crystal-generator --out my-generator")
@click.argument("name", metavar="NAME")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="A new folder; else ./NAME.")
@no_database_option
def export_model(name: str, out: Path | None) -> None:
    """Copy a checkpoint, weights and card, to a folder of its own."""
    folder = out or Path(Path(name).name)
    card = export_checkpoint(name, folder)
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
