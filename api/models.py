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


def _metrics(metrics: Mapping[str, object], prefix: str = "") -> str:
    """The headline figures: mean absolute errors, match rates and validity, each under the name of its table."""
    found = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found.append(_metrics(value, f"{prefix}{name}: "))
        elif name in HEADLINES and isinstance(value, int | float):
            found.append(f"{prefix}{name} {value:g}")
    return "\n".join(line for line in found if line)
