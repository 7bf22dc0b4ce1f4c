"""`sluice explain`."""

import sys
from dataclasses import asdict, replace

import click

from api.figure_files import Plot, figure_options
from api.formats import dumps
from api.lazy_group import load
from api.options import json_option, no_database_option
from api.questions import question_options
from api.reasons import bars, main_reason
from api.tables import printed
from workers.compositions import parse_formula
from workers.explanations import Question, check_question, order_within, player_names


@click.command(epilog="\b\nExample: sluice explain CsPbI3 --property band_gap --plot CsPbI3.svg")
@click.argument("text", metavar="FORMULA")
@question_options
@figure_options("bars", "network")
@json_option
@no_database_option
def explain(text: str, question: Question, order: int | None, plot: Plot | None, as_json: bool) -> None:
    """What each element, and each set of them, adds to a prediction; baseline plus all of them is the prediction."""
    composition = parse_formula(text)
    formula, players = composition.formula, player_names(composition.elements, question.players)
    question = replace(question, order=order or order_within(question, len(players)))
    check_question(question, formula)
    explanation = asdict(load("api.local_predictions:explain")(formula, question))
    if plot is not None:
        load("api.figures:plot_explanation")(explanation, plot)
    if as_json:
        click.echo(dumps(explanation, indent=2))
        return
    printed(bars(explanation), sys.stdout)
    click.echo(f"{formula}: {main_reason(explanation)}")
