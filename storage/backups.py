"""Backups: all that a database holds at one moment, as a SQLite database, whatever kind it comes of or goes to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any, cast

from sqlalchemy import Engine, Table, delete, func, select, text
from sqlalchemy.orm import Session

from storage import tables
from storage.engine import open_database, reading, transaction
from storage.loads import load_rows

FETCH = 5_000  # rows
LEADER = tables.LeaderTable.__tablename__  # whose one row stands in an empty database too


def back_up(engine: Engine, file: Path) -> None:
    """Write a new SQLite file, while others go on writing to the database."""
    with _opened(file, create=True) as copy:
        _copy_all(engine, copy)


def restore(file: Path, engine: Engine) -> None:
    """Let a database hold what a backup holds, and nothing else; raises AlienDatabase, DatabaseUnavailable."""
    with _opened(file, create=False) as backup:
        _copy_all(backup, engine)


def is_empty(session: Session) -> bool:
    """Whether a database holds nothing that anybody would miss."""
    names = (table for table in tables.Table.metadata.sorted_tables if table.name != LEADER)
    return all(session.execute(select(1).select_from(table).limit(1)).first() is None for table in names)


@contextmanager
def _opened(file: Path, create: bool) -> Iterator[Engine]:
    engine = open_database(str(file), create)
    try:
        yield engine
    finally:
        engine.dispose()


def _copy_all(source: Engine, target: Engine) -> None:
    if source.dialect.name == target.dialect.name == "sqlite":
        with _driver(source) as here, _driver(target) as there:
            here.backup(there)
        return
    with reading(source) as here, transaction(target) as there:
        _clear(there)
        for table in tables.Table.metadata.sorted_tables:
            _copy_table(here, there, table)


@contextmanager
def _driver(engine: Engine) -> Iterator[Connection]:
    with closing(engine.raw_connection()) as connection:
        yield cast(Connection, connection.driver_connection)


def _clear(session: Session) -> None:
    known = tables.Table.metadata.sorted_tables
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"TRUNCATE {', '.join(table.name for table in known)}"))
        return
    for table in reversed(known):
        session.execute(delete(table))


def _copy_table(source: Session, target: Session, table: Table) -> None:
    keep = _keepers(target, table)
    names = [column.name for column in table.columns]
    everything = select(table).order_by(*table.primary_key.columns)  # chunks come after their parents
    for rows in source.execute(everything.execution_options(yield_per=FETCH)).partitions():
        values = [tuple(each(value) for each, value in zip(keep, row, strict=True)) for row in rows]
        load_rows(target, table.name, names, values)
    counted = table.autoincrement_column
    if target.get_bind().dialect.name == "postgresql" and counted is not None:
        last = select(func.max(counted)).scalar_subquery()
        target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, counted.name), last)))


def _keepers(target: Session, table: Table) -> Sequence[Callable[[Any], Any]]:
    """What makes of each column's value one that the target's driver takes."""
    dialect = target.get_bind().dialect
    found = (column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns)
    return [keep or (lambda value: value) for keep in found]
