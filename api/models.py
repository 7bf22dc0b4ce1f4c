"""`sluice models`."""

import sys
from collections.abc import Mapping
from dataclasses import asdict

import click

from api.formats import dumps
from api.options import json_option, no_database_option
from api.tables import plain_table, printed
from workers.cards import pretrained_cards

DIGEST = 12


@click.group(epilog="\b\nExample: sluice models list")
def models() -> None:
    """The models and their cards."""


@models.command("list", epilog="\b\nExample: sluice models list --json")
@json_option
@no_database_option
def list_models(as_json: bool) -> None:
    """Name, kind, properties and measured errors of each model; the JSON holds the whole cards."""
    cards = pretrained_cards()
    if as_json:
        click.echo(dumps([asdict(card) for card in cards], indent=2))
        return
    table = plain_table("name", "kind", "weights", "properties", "metrics")
    for card in cards:
        table.add_row(card.name, card.kind, card.model_id[:DIGEST], ", ".join(card.properties), _metrics(card.metrics))
    printed(table, sys.stdout)


def _metrics(metrics: Mapping[str, object]) -> str:
    numbers = ((name, value) for name, value in metrics.items() if isinstance(value, int | float))
    return ", ".join(f"{name} {value:g}" for name, value in numbers)
