"""Queries: candidates that a filter selects, sorted, streamed page by page."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from storage.candidates import BUILT_IN, STD, column
from storage.filters import FINDINGS, NUMBERS, TEXTS, Plan, to_clause
from storage.structures import best_crystals
from storage.tables import CandidateTable, PropertyTable
from workers.errors import UserError
from workers.filters import Filter

PAGE = 1_000
LONG = 20_000  # ids: reading them takes as long as looking up candidates in order until fifty of ten million are found
FIXED = ("campaign", "formula", "verdict", "score", *(name for base in BUILT_IN for name in (base, base + STD)))
SORTABLE = ("id", "campaign", *TEXTS, *NUMBERS)
TIE = (CandidateTable.formula, CandidateTable.campaign_id)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: sort is a column's name, with a minus before it for descending."""

    filter: Filter | None = None
    campaign_id: int | None = None
    sort: str = "-score"
    limit: int | None = None


def query(session: Session, asked: Query) -> Iterator[dict[str, Any]]:
    """The rows, sorted by the column (unknown last), then formula, then campaign; raises InvalidFilter, UserError."""
    extra = user_properties(session)
    pages = _pages(session, asked, extra)
    return (row for page in pages for row in to_rows(session, page, extra))


def query_crystals(session: Session, asked: Query) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Campaign, formula and best crystal of the same rows, those without a crystal left out."""
    for page in _pages(session, asked, user_properties(session)):
        campaigns = {row.campaign_id for row in page}
        mine = {key: [row.formula for row in page if row.campaign_id == key] for key in campaigns}
        crystals = {key: best_crystals(session, key, formulas) for key, formulas in mine.items()}
        for row in page:
            if row.formula in crystals[row.campaign_id]:
                yield row.campaign_id, row.formula, crystals[row.campaign_id][row.formula]


def columns(session: Session) -> list[str]:
    """The keys of a row, in order."""
    return [*FIXED, *(key for name in user_properties(session) for key in (name, name + STD))]


def user_properties(session: Session) -> list[str]:
    """The properties that users added and that have values, sorted."""
    # From one name to the next in the index; DISTINCT would read a row for each value.
    first = select(func.min(PropertyTable.property).label("name")).cte("names", recursive=True)
    after = select(func.min(PropertyTable.property)).where(PropertyTable.property > first.c.name).scalar_subquery()
    names = first.union_all(select(after).where(first.c.name.is_not(None)))
    return list(session.scalars(select(names.c.name).where(names.c.name.is_not(None))))


def selected(asked: Query, extra: Collection[str], plan: Plan | None = None) -> Select[Any]:
    """The candidates that a query selects, in no order; raises InvalidFilter."""
    base = select(*CandidateTable.__table__.columns).where(CandidateTable.surplus.is_(False))
    if asked.campaign_id is not None:
        base = base.where(CandidateTable.campaign_id == asked.campaign_id)
    return base if asked.filter is None else base.where(to_clause(asked.filter, extra, plan))


def page_plan(session: Session, sort: str) -> Plan | None:
    """How a sorted page is found; None where the database, which knows that it is one page, finds out by itself."""
    if session.get_bind().dialect.name == "postgresql":
        return None
    return Plan(lambda ids: session.execute(ids.offset(LONG).limit(1)).first() is not None, sort.removeprefix("-"))


def sort_key(sort: str, extra: Collection[str]) -> tuple[ColumnElement[Any], bool]:
    """The column that a sort names, and whether the largest come first; raises UserError."""
    name = sort.removeprefix("-")
    if name in SORTABLE:
        return column("campaign_id" if name == "campaign" else name), sort.startswith("-")
    if name.removesuffix(STD) not in extra and name not in extra:
        raise UserError(f"sort {sort!r}: not a column; {', '.join((*SORTABLE, *sorted(extra)))} are")
    base, kept = (name, PropertyTable.value) if name in extra else (name.removesuffix(STD), PropertyTable.std)
    mine = (PropertyTable.candidate_id == CandidateTable.id, PropertyTable.property == base)
    return select(kept).where(*mine).scalar_subquery(), sort.startswith("-")


def to_rows(session: Session, page: Sequence[Row[Any]], extra: Collection[str]) -> Iterator[dict[str, Any]]:
    """The rows of a page under the names of the columns, and then what comparing with references said."""
    added = _added(session, [row.id for row in page]) if extra else {}
    for row in page:
        values = row._mapping
        shown = {name: values["campaign_id" if name == "campaign" else name] for name in FIXED}
        mine = added.get(row.id, {})
        own = {key: mine.get(key) for name in extra for key in (name, name + STD)}
        yield shown | own | {name: values[name] for name in FINDINGS}


def _pages(session: Session, asked: Query, extra: Collection[str]) -> Iterator[Sequence[Row[Any]]]:
    key, descending = sort_key(asked.sort, extra)
    base = selected(asked, extra, page_plan(session, asked.sort))
    # Two statements, since no index holds NULLs at the same end on both databases.
    known = base.where(key.is_not(None)).order_by(key.desc() if descending else key.asc(), *TIE)
    return _stream(session, (known, base.where(key.is_(None)).order_by(*TIE)), asked.limit)


def _stream(session: Session, statements: Sequence[Select[Any]], limit: int | None) -> Iterator[Sequence[Row[Any]]]:
    """The rows of one statement after the other, sorted once and fetched page by page."""
    left = limit
    for statement in statements:
        cut = statement if left is None else statement.limit(left)
        for page in session.execute(cut.execution_options(yield_per=PAGE)).partitions():
            left = None if left is None else left - len(page)
            yield page


def _added(session: Session, ids: Sequence[int]) -> Mapping[int, dict[str, float | None]]:
    found: dict[int, dict[str, float | None]] = {}
    statement = select(*PropertyTable.__table__.columns).where(PropertyTable.candidate_id.in_(ids))
    for candidate_id, name, value, std in session.execute(statement):
        found.setdefault(candidate_id, {}).update({name: value, name + STD: std})
    return found
