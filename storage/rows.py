"""Statements on many rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isnan
from typing import Any, TypeVar, cast

from sqlalchemy import CursorResult, UpdateBase
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

BATCH = 5_000  # values of one IN list; SQLite takes 32,766 parameters in a statement

T = TypeVar("T")


def changed(session: Session, statement: UpdateBase) -> int:
    """How many rows a statement changed; it must name the state that it leaves."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast(CursorResult[Any], result).rowcount


def add_rows(session: Session, table: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, leaving out those whose natural key stands already."""
    if rows:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        session.execute(dialect.insert(table.__table__).on_conflict_do_nothing(), [dict(row) for row in rows])


def batches(values: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The values in lists that fit in one statement."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def known(value: float | None) -> float | None:
    """The number, or None where it is NaN: an unknown value is NULL and nothing else, and zero has no sign.

    SQLite forgets the sign of zero and PostgreSQL keeps it, so neither is given one.
    """
    return None if value is None or isnan(value) else float(value) + 0.0
