"""`sluice token`."""

import sys
import time
from dataclasses import asdict
from time import localtime, strftime

import click

from api.connection import opened
from api.formats import dumps
from api.options import ID, database_option, json_option
from api.tables import plain_table, printed
from storage.engine import reading, transaction
from storage.tokens import LONGEST_NAME, NewToken, TokenRole, add_token, expiry, list_tokens, new_secret, revoke_token
from workers.errors import UserError


@click.group(epilog="\b\nExample: sluice token create --name notebook --role run")
def token() -> None:
    """Who may do what over HTTP: tokens with roles, stored as hashes."""


@token.command(epilog="\b\nExample: sluice token create --name notebook --role run --days 30")
@click.option("--name", default="token", show_default=True, metavar="TEXT", help="Whose it is, or what for.")
@click.option("--role", type=click.Choice([role.value for role in TokenRole]), default="read", show_default=True,
              help="read: look; run: also start and stop campaigns; admin: also tokens.")  # fmt: skip
@click.option("--days", type=click.FloatRange(0, 36_500, min_open=True), metavar="N", help="Until it expires.")
@json_option
@database_option
def create(name: str, role: str, days: float | None, as_json: bool, url: str | None) -> None:
    """Make a token and write its secret to stdout, this once."""
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise UserError(f"--name {name!r}: 1 to {LONGEST_NAME} printable characters are expected")
    now, secret = time.time(), new_secret()
    with opened(url, create=True) as engine, transaction(engine) as session:
        made = add_token(session, secret, NewToken(name, TokenRole(role), expiry(days, now)), now)
    if as_json:
        click.echo(dumps({**asdict(made), "token": secret}, indent=2))
        return
    click.echo(secret)
    click.echo(f"token {made.id} ({made.name}) may {made.role}; its secret is not shown again", err=True)


@token.command("list", epilog="\b\nExample: sluice token list --json")
@json_option
@database_option
def list_command(as_json: bool, url: str | None) -> None:
    """All tokens without their secrets, oldest first."""
    with opened(url) as engine, reading(engine) as session:
        found = list_tokens(session)
    if as_json:
        click.echo(dumps([asdict(entry) for entry in found], indent=2))
        return
    table = plain_table("id", "name", "role", "created", "expires", "revoked", right=("id",))
    for entry in found:
        moments = (_moment(seconds) for seconds in (entry.created_at, entry.expires_at, entry.revoked_at))
        table.add_row(str(entry.id), entry.name, entry.role, *moments)
    printed(table, sys.stdout)


@token.command(epilog="\b\nExample: sluice token revoke 1")
@click.argument("token_id", metavar="ID", type=ID)
@database_option
def revoke(token_id: int, url: str | None) -> None:
    """End a token at once and for good."""
    with opened(url) as engine, transaction(engine) as session:
        ended = revoke_token(session, token_id, time.time())
    click.echo(f"token {ended.id} ({ended.name}) is revoked", err=True)


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else strftime("%Y-%m-%d %H:%M", localtime(seconds))
