"""Entries: candidates that have a crystal, each with its best one, as OPTIMADE shows them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.deadlines import TookTooLong, deadline
from storage.errors import NotFound
from storage.pages import Mark, read_page
from storage.queries import Query, selected, user_properties
from storage.tables import CampaignTable, StructureTable
from workers.filter_fields import HAS_CRYSTAL
from workers.filters import And, Compare

MOST_COUNTED = 10_000
PATIENCE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate's row, its best crystal, and when its campaign ended, in unix seconds."""

    row: Mapping[str, Any]
    crystal: Mapping[str, Any]
    modified: float | None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries in the order of the query, and where the next page begins, if there is one."""

    entries: tuple[Entry, ...]
    next: Mark | None


def read_entries(session: Session, asked: Query, size: int, after: Mark | None = None) -> EntryPage:
    """So many entries after a mark; raises InvalidFilter, UserError."""
    page = read_page(session, _with_crystal(asked), size, after)
    crystals = _crystals(session, [row["id"] for row in page.rows])
    ends = _ends(session, {row["campaign"] for row in page.rows})
    return EntryPage(tuple(Entry(row, crystals[row["id"]], ends[row["campaign"]]) for row in page.rows), page.next)


def read_entry(session: Session, entry_id: str) -> Entry:
    """The entry with this id; raises NotFound."""
    page = read_entries(session, Query(Compare("id", "=", entry_id), sort="id"), 1)
    if not page.entries:
        raise NotFound("structure", entry_id, "the id of a candidate that has a structure is expected")
    return page.entries[0]


def count_entries(session: Session, asked: Query) -> int | None:
    """How many entries there are, or None where counting them would take long."""
    found = selected(_with_crystal(asked), user_properties(session)).limit(MOST_COUNTED + 1).subquery()
    try:
        with deadline(session, PATIENCE):
            count = session.scalar(select(func.count()).select_from(found)) or 0
    except TookTooLong:
        return None
    return count if count <= MOST_COUNTED else None


def _with_crystal(asked: Query) -> Query:
    return replace(asked, filter=HAS_CRYSTAL if asked.filter is None else And((HAS_CRYSTAL, asked.filter)))


def _crystals(session: Session, ids: Collection[int]) -> dict[int, Mapping[str, Any]]:
    best = select(StructureTable.candidate_id, StructureTable.crystal).where(StructureTable.rank == 0)
    return dict(session.execute(best.where(StructureTable.candidate_id.in_(ids))).all())


def _ends(session: Session, campaigns: Collection[int]) -> dict[int, float | None]:
    ends = select(CampaignTable.id, CampaignTable.finished_at).where(CampaignTable.id.in_(campaigns))
    return dict(session.execute(ends).all())
