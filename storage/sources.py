"""Source files, kept with their campaign as compressed slices."""

import zlib
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from storage.rows import add_rows
from storage.tables import SliceTable


@dataclass(frozen=True, slots=True)
class Slice:
    """Distinct formulas from this index on, and how many lines around them were invalid or duplicates."""

    start: int
    formulas: tuple[str, ...]
    invalid: int = 0
    duplicate: int = 0


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """The lines of a source: input = unique + invalid + duplicate."""

    input: int
    unique: int
    invalid: int
    duplicate: int


def add_slice(session: Session, campaign_id: int, piece: Slice) -> bool:
    """Store a slice, unless it stands already; False where another one stands in its place.

    The index space of a source is that of its distinct formulas, from 0.
    """
    row = {
        "campaign_id": campaign_id,
        "start": piece.start,
        "stop": piece.start + len(piece.formulas),
        "invalid": piece.invalid,
        "duplicate": piece.duplicate,
        "formulas": zlib.compress("\n".join(piece.formulas).encode(), level=6),
    }
    add_rows(session, SliceTable, [row])
    own = (SliceTable.campaign_id == campaign_id, SliceTable.start == piece.start)
    columns = (SliceTable.stop, SliceTable.invalid, SliceTable.duplicate, SliceTable.formulas)
    stop, invalid, duplicate, packed = session.execute(select(*columns).where(*own)).one()
    stored = (stop, invalid, duplicate, zlib.decompress(packed).decode())
    return stored == (row["stop"], piece.invalid, piece.duplicate, "\n".join(piece.formulas))


def read_formulas(session: Session, campaign_id: int, start: int, stop: int) -> list[str]:
    """The formulas [start, stop) of a source, whatever slices they lie in."""
    statement = (
        select(SliceTable.start, SliceTable.formulas)
        .where(SliceTable.campaign_id == campaign_id, SliceTable.start < stop, SliceTable.stop > start)
        .where(SliceTable.stop > SliceTable.start)  # a slice of bad lines alone holds no formula
        .order_by(SliceTable.start)
    )
    found: list[str] = []
    for first, blob in session.execute(statement):
        formulas = zlib.decompress(blob).decode().split("\n")
        found += formulas[max(start - first, 0) : stop - first]
    return found


def source_counts(session: Session, campaign_id: int) -> SourceCounts:
    """The counts of all slices; zeros for a source that is no file."""
    return _counted(session, SliceTable.campaign_id == campaign_id)


def all_source_counts(session: Session) -> SourceCounts:
    """The counts of the files of all campaigns together."""
    return _counted(session, true())


def _counted(session: Session, which: ColumnElement[bool]) -> SourceCounts:
    sums = (
        func.coalesce(func.sum(column), 0)
        for column in (SliceTable.stop - SliceTable.start, SliceTable.invalid, SliceTable.duplicate)
    )
    row = session.execute(select(*sums).where(which)).one()
    unique, invalid, duplicate = (int(value) for value in row)
    return SourceCounts(unique + invalid + duplicate, unique, invalid, duplicate)
