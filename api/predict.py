"""`sluice predict`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from api.formats import dumps
from api.lazy_group import load
from api.numbers import measured
from api.options import database_option, json_option
from api.own_models import Named, named
from api.tables import heading, plain_table, printed
from workers.compositions import parse_formula
from workers.properties import unit_of

Predicted = Mapping[str, tuple[float, float]]


@click.command(epilog="\b\nExample: sluice predict CsPbI3 'Ba1 Te1' Fe0.62C0.38 --json")
@click.argument("texts", metavar="FORMULA...", nargs=-1, required=True)
@click.option("--model", default="composition-predictor", show_default=True, metavar="NAME")
@json_option
@database_option
def predict(texts: tuple[str, ...], model: str, as_json: bool, url: str | None) -> None:
    """Properties of formulas with standard deviations, in the order asked, repeats included."""
    formulas = [parse_formula(text).formula for text in texts]
    found = named(model, url)
    # Torch takes seconds to import, so a formula is read first and a mistake answered at once.
    predictions = load("api.local_predictions:predict")(formulas, found)
    if as_json:
        rows = zip(formulas, predictions, strict=True)
        click.echo(dumps([_json(formula, row, found) for formula, row in rows], indent=2))
    else:
        _print_table(formulas, predictions, found)


def _json(formula: str, predicted: Predicted, model: Named) -> dict[str, Any]:
    values = {
        name: {"value": value, "std": std, "unit": model.unit or unit_of(name), "model": model.name}
        for name, (value, std) in predicted.items()
    }
    return {"formula": formula, "predictions": values}


def _print_table(formulas: Sequence[str], predictions: Sequence[Predicted], model: Named) -> None:
    names = list(predictions[0])
    headings = [f"{name} / {model.unit}" if model.unit else heading(name) for name in names]
    table = plain_table("formula", *headings, right=headings)
    for formula, row in zip(formulas, predictions, strict=True):
        table.add_row(formula, *(measured(name, *row[name]) for name in names))
    printed(table, sys.stdout)
