"""`sluice show`."""

import sys
from dataclasses import asdict

import click

from api.candidate_card import candidate_card
from api.connection import opened
from api.formats import dumps
from api.options import campaign_option, database_option, json_option
from api.provenance import provenance_card, provenance_json, trace
from api.tables import printed
from storage.engine import reading
from storage.profiles import read_profile
from workers.compositions import parse_formula


@click.command(epilog="\b\nExample: sluice show Cs2TiBr6")
@click.argument("name", metavar="FORMULA|ID")
@campaign_option
@click.option("--provenance", is_flag=True, help="Which model, campaign and chunk each value comes from.")
@json_option
@database_option
def show(name: str, campaign_id: int | None, provenance: bool, as_json: bool, url: str | None) -> None:
    """Everything known of one candidate; a formula means the latest campaign that has it."""
    wanted = name if name.isdigit() else parse_formula(name).formula
    with opened(url) as engine, reading(engine) as session:
        profile = read_profile(session, wanted, campaign_id)
        found = trace(session, profile) if provenance else None
    if as_json:
        click.echo(dumps(provenance_json(profile, found) if found else asdict(profile), indent=2))
    else:
        printed(provenance_card(profile, found) if found else candidate_card(profile), sys.stdout)
