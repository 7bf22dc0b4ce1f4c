"""Opening a database, and transactions on it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from storage import schema
from storage.errors import AlienDatabase, DatabaseFull, DatabaseUnavailable

BUSY_SECONDS = 60
OVERFLOW = 59  # connections beside the five that stay: a server's threads each take one
LOG_PAGES = 32_768  # of SQLite's write-ahead log, of 4 KiB each
ACCEPTED = "a path, sqlite:///PATH or postgresql://USER@HOST/NAME is expected"
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
READING = "sluice_reading"


def open_database(url: str, create: bool = True) -> Engine:
    """The engine of a database with the current tables, made or upgraded where asked; raises AlienDatabase,
    DatabaseUnavailable.
    """
    target = _parse(url)
    if target.get_backend_name() == "sqlite":
        _check_file(target, create)
    engine = _make(target)
    try:
        _check_schema(engine, create)
    except BaseException as exc:
        engine.dispose()
        if isinstance(exc, OperationalError | sqlite3.OperationalError):
            raise DatabaseUnavailable(describe(engine), _first_line(exc)) from exc
        raise
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session whose writes are all stored at the end, or none of them."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that sees one moment and holds up no writer."""
    options: dict[str, Any] = {READING: True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, Session(connection) as session:
        yield session


def describe(engine: Engine) -> str:
    """Where the database is, for people: a path, or a URL without its password."""
    return _describe(engine.url)


def _describe(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(Path(url.database or ":memory:"))
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _parse(url: str) -> URL:
    try:
        target = make_url(url if "://" in url else f"sqlite:///{url}")
        backend = target.drivername.partition("+")[0]
        if backend not in DRIVERS:
            raise DatabaseUnavailable(url, ACCEPTED)
        return target if "+" in target.drivername else target.set(drivername=DRIVERS[backend])
    except (ArgumentError, NoSuchModuleError, ValueError) as exc:
        raise DatabaseUnavailable(url, ACCEPTED) from exc


def _check_file(url: URL, create: bool) -> None:
    """Look at a file before any write, since opening it in WAL mode already changes its header."""
    path = Path(url.database or "")
    if not url.database or url.database == ":memory:":
        raise DatabaseUnavailable(_describe(url), "several processes share the database, so a file is expected")
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}"
        raise DatabaseUnavailable(path, f"{what}; the path of a file is expected")
    if not path.exists():
        if not create:
            raise DatabaseUnavailable(path, "there is no such file; `sluice screen` makes it")
        return
    _check_tables(path)


def _check_tables(path: Path) -> None:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError as exc:
        raise DatabaseUnavailable(path, f"{exc}; a file that can be read and written is expected") from exc
    except sqlite3.DatabaseError as exc:
        raise AlienDatabase(path, f"{exc}; a database that Sluice made, or a new path, is expected") from exc
    if rows and (schema.VERSION_TABLE,) not in rows:
        raise AlienDatabase(path, schema.foreign(name for (name,) in rows))


def _make(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        options = {"timeout": BUSY_SECONDS, "check_same_thread": False}
        engine = create_engine(url, connect_args=options, max_overflow=OVERFLOW)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(url, pool_pre_ping=True, max_overflow=OVERFLOW)
    event.listen(engine, "handle_error", _translate)
    return engine


def _check_schema(engine: Engine, create: bool) -> None:
    where = describe(engine)
    with reading(engine) as session:
        state = schema.inspect_schema(session.connection())
    if state.problem:
        raise AlienDatabase(where, state.problem)
    if state.current:
        return
    if not create and state.revision is None:
        raise DatabaseUnavailable(where, "it is empty; `sluice screen` fills it")
    if not create:
        raise DatabaseUnavailable(where, "an older Sluice made it; run `sluice db upgrade`")
    schema.upgrade(engine)


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # or the driver would begin transactions on its own, never IMMEDIATE
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    # What many chunks change in one page goes to the file once.
    connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail at once when another wrote in between.
    reads = connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _translate(context: ExceptionContext) -> None:
    error = context.original_exception
    full = getattr(error, "sqlstate", None) == "53100" or "database or disk is full" in str(error)
    if full and context.engine is not None:
        raise DatabaseFull(describe(context.engine)) from error


def _first_line(exc: OperationalError | sqlite3.OperationalError) -> str:
    cause = exc.orig if isinstance(exc, OperationalError) else exc
    return str(cause).strip().splitlines()[0]
