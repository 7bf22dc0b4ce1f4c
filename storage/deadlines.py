"""Deadlines: statements that are given up when they take too long."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import cast

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from storage.errors import StorageError

STEPS = 10_000  # of SQLite's machine between two looks at the clock


class TookTooLong(StorageError):
    """a statement was given up after {0:g} s"""


@contextmanager
def deadline(session: Session, seconds: float) -> Iterator[None]:
    """Give up what the block asks of the database after so long; raises TookTooLong, the transaction as it was."""
    watch = _watch_postgres if session.get_bind().dialect.name == "postgresql" else _watch_sqlite
    try:
        with watch(session, seconds):
            yield
    except OperationalError as exc:
        if getattr(exc.orig, "sqlstate", None) == "57014" or str(exc.orig) == "interrupted":
            raise TookTooLong(seconds) from exc
        raise


@contextmanager
def _watch_postgres(session: Session, seconds: float) -> Iterator[None]:
    with session.begin_nested():
        session.execute(text(f"SET LOCAL statement_timeout = {max(1, round(1_000 * seconds))}"))
        yield
        session.execute(text("SET LOCAL statement_timeout = 0"))


@contextmanager
def _watch_sqlite(session: Session, seconds: float) -> Iterator[None]:
    connection = cast(sqlite3.Connection, session.connection().connection.driver_connection)
    end = monotonic() + seconds
    connection.set_progress_handler(lambda: monotonic() > end, STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, STEPS)
