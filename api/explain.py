"""`sluice explain`."""

import sys
from dataclasses import asdict

import click

from api.formats import dumps
from api.lazy_group import load
from api.options import json_option, no_database_option
from api.reasons import bars, main_reason
from api.tables import printed
from scheduler.spec import PREDICTED
from workers.compositions import parse_formula
from workers.explanations import INDICES


@click.command(epilog="\b\nExample: sluice explain CsPbI3 --property band_gap")
@click.argument("text", metavar="FORMULA")
@click.option("--property", "prop", type=click.Choice(PREDICTED), required=True)
@click.option("--index", type=click.Choice(INDICES), default="k-SII", show_default=True)
@click.option("--order", type=click.IntRange(1, 2), default=2, show_default=True, help="1: elements; 2: pairs too.")
@json_option
@no_database_option
def explain(text: str, prop: str, index: str, order: int, as_json: bool) -> None:
    """What each element, and each pair, adds to a prediction; baseline plus all of them is the prediction."""
    formula = parse_formula(text).formula
    explained = load("api.local_predictions:explain")(formula, prop, index, order)
    explanation = asdict(explained)
    if as_json:
        click.echo(dumps(explanation, indent=2))
        return
    printed(bars(explanation), sys.stdout)
    click.echo(f"{formula}: {main_reason(explanation)}")
