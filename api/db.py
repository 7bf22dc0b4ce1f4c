"""`sluice db`."""

from pathlib import Path

import click

from api.connection import opened
from api.formats import dumps
from api.options import database_option, json_option
from api.outputs import replacing
from storage import backups
from storage.campaigns import list_campaigns
from storage.checks import find_flaws
from storage.engine import describe, reading
from storage.errors import DatabaseFlawed
from storage.schema import inspect_schema
from workers.errors import UserError

FILE = click.Path(dir_okay=False, path_type=Path)
replace_option = click.option("--yes", is_flag=True, help="Replace what stands there.")


@click.group(epilog="\b\nExample: sluice db check --db screening.db")
def db() -> None:
    """Make, upgrade, check, back up and restore a database."""


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
    """Say whether a database is ours and up to date, status 2 where it is not; and whether what it holds fits together,
    status 1 where it does not."""
    with opened(url) as engine, reading(engine) as session:
        campaigns = len(list_campaigns(session))
        where, revision = describe(engine), inspect_schema(session.connection()).revision
        flaws = list(find_flaws(session))
    if as_json:
        click.echo(dumps({"database": where, "revision": revision, "campaigns": campaigns, "flaws": flaws}))
    else:
        click.echo(f"{where} is at revision {revision} and holds {campaigns} campaigns")
        click.echo("".join(f"{flaw}\n" for flaw in flaws), nl=False)
    if flaws:
        raise DatabaseFlawed(where, len(flaws))


@db.command(epilog="\b\nExample: sluice db backup monday.db --db postgresql://sluice@db/sluice")
@click.argument("file", type=FILE)
@replace_option
@database_option
def backup(file: Path, yes: bool, url: str | None) -> None:
    """Write all that a database holds to a SQLite file, while campaigns go on; that file is a database itself."""
    if file.exists() and not yes:
        raise UserError(f"{file}: a file that exists; a new one, or --yes, is expected")
    with opened(url) as engine, replacing(file) as draft:
        backups.back_up(engine, draft)
        click.echo(f"{describe(engine)} is backed up in {file}")


@db.command(epilog="\b\nExample: sluice db restore monday.db --db screening.db --yes")
@click.argument("file", type=FILE)
@replace_option
@database_option
def restore(file: Path, yes: bool, url: str | None) -> None:
    """Let a database hold what a backup holds, whichever kind of database it came of."""
    with opened(url, create=True) as engine:
        if Path(describe(engine)).absolute() == file.absolute():
            raise UserError(f"{file}: the database itself; a backup of it is expected")
        with reading(engine) as session:
            empty = backups.is_empty(session)
        if not empty and not yes:
            raise UserError(f"database {describe(engine)}: it holds something; with --yes that is replaced")
        backups.restore(file, engine)
        click.echo(f"{describe(engine)} holds what {file} holds")
