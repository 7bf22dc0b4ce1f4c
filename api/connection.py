"""The database that a command works on."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from scheduler.settings import SQLITE, Settings, load_settings
from storage.engine import describe, open_database
from storage.errors import StorageError


def settings_for(url: str | None) -> Settings:
    """The settings with this database, paths made absolute since child processes share them."""
    return load_settings(database_url=_absolute(url) if url else None)


@contextmanager
def opened(url: str | None, create: bool = False) -> Iterator[Engine]:
    """The database's engine; at the end stderr names the file, where nobody had named it."""
    settings = settings_for(url)
    with connected(settings, create) as engine:
        yield engine
        if settings.database_url == load_settings({}).database_url:
            click.echo(f"database: {describe(engine)}", err=True)


@contextmanager
def connected(settings: Settings, create: bool = False) -> Iterator[Engine]:
    """The engine of these settings; what the driver raises inside becomes one line."""
    try:
        engine = open_database(settings.database_url, create)
        try:
            yield engine
        finally:
            engine.dispose()
    except DBAPIError as exc:
        raise StorageError(str(exc.orig).strip().splitlines()[0]) from exc


def database_words(settings: Settings) -> list[str]:
    """The --db that the next command needs to find this database, or nothing; a password is not told."""
    if settings.database_url == load_settings().database_url:
        return []
    url = settings.database_url
    file = url.removeprefix(SQLITE)
    return ["--db", shlex.quote(file if file != url else make_url(url).render_as_string(hide_password=True))]


def _absolute(url: str) -> str:
    if "://" not in url:
        return f"{SQLITE}{Path(url).expanduser().absolute()}"
    if url.startswith(SQLITE):
        return f"{SQLITE}{Path(url.removeprefix(SQLITE)).absolute()}"
    return url
