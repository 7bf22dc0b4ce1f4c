"""What to explain of a prediction, as options."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from scheduler.spec import PREDICTED
from workers.explanations import BUDGET, INDICES, MOST_COALITIONS, ORDERS, PLAYERS, Question

Command = Callable[..., None]

OPTIONS = (
    click.option("--property", type=click.Choice(PREDICTED), required=True),
    click.option("--index", type=click.Choice(INDICES), default="k-SII", show_default=True),
    click.option(
        "--order", type=click.IntRange(ORDERS[0], ORDERS[-1]), help="1: single players; 2: pairs too (default); to 4."
    ),
    click.option(
        "--players", type=click.Choice(PLAYERS), default="elements", show_default=True,
        help="Elements with their amounts, or each apart.",
    ),
    click.option(
        "--budget", type=click.IntRange(1, MOST_COALITIONS), default=BUDGET, show_default=True, metavar="N",
        help="Coalitions computed; where there are more, the interactions are estimated.",
    ),
)  # fmt: skip


def question_options(command: Command) -> Command:
    """Give a command the options of a question, its values as the argument `question`, and `order` as it was asked."""

    @wraps(command)
    def asked(*arguments: Any, **options: Any) -> None:
        own = {name: options.pop(name) for name in ("property", "index", "players", "budget")}
        command(*arguments, question=Question(**own), **options)

    for option in reversed(OPTIONS):
        asked = option(asked)
    return asked
