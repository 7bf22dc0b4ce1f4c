"""Pages of candidates: each goes on where the last one ended, whatever was stored in the meantime."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_
from sqlalchemy.orm import Session

from storage.filters import TEXTS
from storage.queries import TIE, Query, page_plan, selected, sort_key, to_rows, user_properties
from storage.tables import CandidateTable
from workers.errors import UserError

Row = dict[str, Any]
ALSO = ("id", "nelements", "space_group", "reason")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page ended: the last row's value in the sort's column, its formula and its campaign."""

    value: float | str | None
    formula: str
    campaign_id: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the query, and where the next page begins, if there is one."""

    rows: tuple[Row, ...]
    next: Mark | None


def read_page(session: Session, asked: Query, size: int, after: Mark | None = None) -> Page:
    """So many rows after a mark, unknown values last as in any query; raises InvalidFilter, UserError."""
    extra = user_properties(session)
    key, descending = sort_key(asked.sort, extra)
    _check(after, asked.sort)
    base = selected(asked, extra, page_plan(session, asked.sort)).add_columns(key.label("_key"))
    found: list[Any] = []
    for statement in _statements(base, key, descending, after):
        found += session.execute(statement.limit(size + 1 - len(found))).all()
        if len(found) > size:
            break
    shown = found[:size]
    rows = tuple(
        {name: row._mapping[name] for name in ALSO} | values
        for row, values in zip(shown, to_rows(session, shown, extra), strict=True)
    )
    last = shown[-1] if shown and len(found) > size else None
    return Page(rows, None if last is None else Mark(last._mapping["_key"], last.formula, last.campaign_id))


def _statements(
    base: Select[Any], key: ColumnElement[Any], descending: bool, after: Mark | None
) -> Iterator[Select[Any]]:
    """The rows with a value in the sort's column, then those without one; no index holds both."""
    known = base.where(key.is_not(None)).order_by(key.desc() if descending else key.asc(), *TIE)
    unknown = base.where(key.is_(None)).order_by(*TIE)
    if after is None:
        yield known
    elif after.value is not None:
        # Said twice: databases look a range up in an index, but not one side of an OR.
        reached, beyond = (
            (key <= after.value, key < after.value) if descending else (key >= after.value, key > after.value)
        )
        yield known.where(reached, or_(beyond, _behind(after)))
    yield unknown if after is None or after.value is not None else unknown.where(_behind(after))


def _behind(after: Mark) -> ColumnElement[bool]:
    formula, campaign = CandidateTable.formula, CandidateTable.campaign_id
    return or_(formula > after.formula, and_(formula == after.formula, campaign > after.campaign_id))


def _check(after: Mark | None, sort: str) -> None:
    text = sort.removeprefix("-") in TEXTS
    if after is not None and after.value is not None and text != isinstance(after.value, str):
        raise UserError(
            f"cursor: it belongs to a list in another order than {sort!r}; no cursor, or its own, is expected"
        )
