"""`sluice db`."""

import click

from api.connection import opened
from api.formats import dumps
from api.options import database_option, json_option
from storage.campaigns import list_campaigns
from storage.engine import describe, reading
from storage.schema import inspect_schema


@click.group(epilog="\b\nExample: sluice db check --db screening.db")
def db() -> None:
    """Make, upgrade and check a database."""


@db.command(epilog="\b\nExample: sluice db upgrade --db screening.db")
@database_option
def upgrade(url: str | None) -> None:
    """Bring the tables of a database up to date, or make them."""
    with opened(url, create=True) as engine:
        with reading(engine) as session:
            revision = inspect_schema(session.connection()).revision
        click.echo(f"{describe(engine)} is at revision {revision}")


@db.command(epilog="\b\nExample: sluice db check --db screening.db --json")
@json_option
@database_option
def check(as_json: bool, url: str | None) -> None:
    """Say whether a database is ours and up to date; status 2 where it is not."""
    with opened(url) as engine, reading(engine) as session:
        campaigns = len(list_campaigns(session))
        where, revision = describe(engine), inspect_schema(session.connection()).revision
    if as_json:
        click.echo(dumps({"database": where, "revision": revision, "campaigns": campaigns}))
    else:
        click.echo(f"{where} is at revision {revision} and holds {campaigns} campaigns")
