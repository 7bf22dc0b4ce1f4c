"""Points: two numbers of the candidates that a query selects, as many as a plot shows, drawn at random from more."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from storage.candidates import STD
from storage.counts import ENOUGH, FEW, SEED
from storage.deadlines import TookTooLong, deadline
from storage.filters import NUMBERS, Plan
from storage.queries import Query, selected, sort_key, user_properties
from storage.tables import CandidateTable
from workers.errors import UserError

DRAWS = 10  # looks at the database
DRAWN = 2_000  # ids of one look
PATIENCE = 0.5  # seconds, for all of a rare selection


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate by its two numbers."""

    id: int
    formula: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Points:
    """Points in the order of their ids, and whether they are all that there are."""

    points: tuple[Point, ...]
    exact: bool


def plottable(extra: Collection[str]) -> tuple[str, ...]:
    """The columns that hold numbers, extra being the properties that users added."""
    return (*NUMBERS, *(key for name in extra for key in (name, name + STD)))


def read_points(session: Session, asked: Query, axes: tuple[str, str], most: int) -> Points:
    """The points of the candidates that know both numbers, at most so many; raises InvalidFilter, UserError."""
    extra = user_properties(session)
    x, y = (_number(name, extra) for name in axes)
    first, last = session.execute(select(func.min(CandidateTable.id), func.max(CandidateTable.id))).one()
    if first is None:
        return Points((), exact=True)

    def found(plan: Plan | None = None) -> Select[Any]:
        columns = (CandidateTable.id, CandidateTable.formula, x.label("x"), y.label("y"))
        return selected(asked, extra, plan).with_only_columns(*columns).where(x.is_not(None), y.is_not(None))

    if last - first < FEW:
        return _thinned(session.execute(found()).all(), most)
    drawn = _drawn(session, found(Plan(lambda ids: True)), range(first, last + 1), most)
    if len(drawn) >= ENOUGH:
        return Points(_points(drawn), exact=False)
    try:
        with deadline(session, PATIENCE):
            return _thinned(session.execute(found().limit(FEW)).all(), most)
    except TookTooLong:
        return Points(_points(drawn), exact=False)


def _number(name: str, extra: Collection[str]) -> ColumnElement[Any]:
    if name not in plottable(extra):
        raise UserError(f"axis {name!r}: not a number of candidates; {', '.join(plottable(extra))} are")
    return sort_key(name, extra)[0]


def _drawn(session: Session, statement: Select[Any], ids: Sequence[int], most: int) -> list[Row[Any]]:
    """Rows at ids drawn from all of them, each as probable as any other."""
    found: list[Row[Any]] = []
    for draw in _draws(ids):
        found += session.execute(statement.where(CandidateTable.id.in_(draw))).all()
        if len(found) >= most:
            break
    return found[:most]


def _draws(ids: Sequence[int]) -> Iterator[list[int]]:
    drawn = random.Random(SEED).sample(ids, DRAWS * DRAWN)
    return (drawn[start : start + DRAWN] for start in range(0, len(drawn), DRAWN))


def _thinned(rows: Sequence[Row[Any]], most: int) -> Points:
    if len(rows) <= most:
        return Points(_points(rows), exact=True)
    return Points(_points(random.Random(SEED).sample(rows, most)), exact=False)


def _points(rows: Sequence[Row[Any]]) -> tuple[Point, ...]:
    return tuple(sorted((Point(row.id, row.formula, row.x, row.y) for row in rows), key=lambda point: point.id))
