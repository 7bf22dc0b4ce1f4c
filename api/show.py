"""`sluice show`."""

import sys
from dataclasses import asdict

import click

from api.candidate_card import candidate_card
from api.connection import opened
from api.formats import dumps
from api.options import campaign_option, database_option, json_option
from api.tables import printed
from storage.engine import reading
from storage.profiles import read_profile
from workers.compositions import parse_formula


@click.command(epilog="\b\nExample: sluice show Cs2TiBr6")
@click.argument("name", metavar="FORMULA|ID")
@campaign_option
@json_option
@database_option
def show(name: str, campaign_id: int | None, as_json: bool, url: str | None) -> None:
    """Everything known of one candidate; a formula means the latest campaign that has it."""
    wanted = name if name.isdigit() else parse_formula(name).formula
    with opened(url) as engine, reading(engine) as session:
        profile = read_profile(session, wanted, campaign_id)
    if as_json:
        click.echo(dumps(asdict(profile), indent=2))
    else:
        printed(candidate_card(profile), sys.stdout)
