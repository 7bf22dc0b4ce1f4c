"""Loads: many rows at once, as fast as a database takes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session

CACHE_KIB = 131_072  # at most, for each connection of SQLite that loads
Rows = Sequence[tuple[Any, ...]]


def load_rows(session: Session, table: str, names: Sequence[str], rows: Rows) -> None:
    """Insert rows of values that the driver takes, in the order of the names; raises IntegrityError where a key stands
    already.
    """
    if not rows:
        return
    connection = session.connection()
    columns = ", ".join(f'"{name}"' for name in names)
    into = f'"{table}" ({columns})'
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {into} FROM STDIN", rows)
    else:
        # Rows touch every index at places all over: pages that are kept are not read anew for each. Only connections
        # that load have so much, for a server may have many that read.
        connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
        marks = ", ".join("?" * len(names))
        connection.exec_driver_sql(f"INSERT INTO {into} VALUES ({marks})", list(rows))


def new_ids(session: Session, table: type[DeclarativeBase], count: int) -> Sequence[int]:
    """Row ids that nobody else is going to use, ascending."""
    if session.get_bind().dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.__tablename__, "id")
        return session.scalars(select(func.nextval(sequence)).select_from(func.generate_series(1, count))).all()
    # Whoever writes on SQLite is alone until the end of the transaction.
    last = session.scalar(select(func.max(table.__table__.c.id))) or 0
    return range(last + 1, last + 1 + count)


@contextmanager
def indexes_afterwards(engine: Engine, *tables: type[DeclarativeBase]) -> Iterator[None]:
    """Load tables without their indexes, keys apart, which are built at the end from sorted rows; for databases that
    nobody else uses meanwhile."""
    indexes = [index for table in tables for index in _table(table).indexes]
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)
    try:
        yield
    finally:
        for index in indexes:
            with engine.begin() as connection:
                index.create(connection)


def _table(table: type[DeclarativeBase]) -> Table:
    return cast(Table, table.__table__)


def _copy(connection: Connection, statement: str, rows: Rows) -> None:
    psycopg = cast(Any, connection.connection)
    with _translated(connection, statement), psycopg.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _translated(connection: Connection, statement: str) -> Iterator[None]:
    """What the driver raises beside SQLAlchemy, as SQLAlchemy's errors."""
    errors = cast(Any, connection.dialect.dbapi).Error
    try:
        yield
    except errors as exc:
        raise DBAPIError.instance(statement, None, exc, errors, dialect=connection.dialect) from exc
