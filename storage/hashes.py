"""Hashes of results that depend on neither the order nor the cut of the work."""

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from storage.tables import (
    CandidateTable,
    ChunkTable,
    ElementTable,
    ExplanationTable,
    FailureTable,
    PropertyTable,
    StageTable,
    StructureTable,
)

MODULUS = 1 << 64
FETCH = 1_000
# What differs between two runs that found the same: row ids, and the reason of a crash.
IGNORED = frozenset({"id", "campaign_id", "candidate_id", "chunk_id", "surplus"})


def digest_rows(rows: Iterable[Sequence[Any]]) -> str:
    """The order-free sum of the rows' hashes, 16 hex digits; rows hold JSON values, floats count to the bit."""
    return f"{sum(_hash(row) for row in rows) % MODULUS:016x}"


def add_digests(digests: Iterable[str]) -> str:
    """The digest of all rows together, from the digests of its parts."""
    return f"{sum(int(digest, 16) for digest in digests) % MODULUS:016x}"


def content_hash(session: Session, campaign_id: int) -> str:
    """What a campaign found, by natural keys, as 32 hex digits; equal however often it was killed and resumed."""
    parts = {name: digest_rows(_stream(session, statement)) for name, statement in _contents(campaign_id).items()}
    parts["stage"] = digest_rows(_stages(session, campaign_id))
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _hash(row: Sequence[Any]) -> int:
    text = json.dumps(list(row), sort_keys=True, separators=(",", ":"))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _contents(campaign_id: int) -> dict[str, Select[Any]]:
    """A statement for each table, its rows under the candidate's formula."""
    mine = (CandidateTable.campaign_id == campaign_id, CandidateTable.surplus.is_(False))
    tables = (ElementTable, PropertyTable, StructureTable, ExplanationTable)
    contents: dict[str, Select[Any]] = {
        table.__tablename__: select(CandidateTable.formula, *_kept(table))
        .join(table, table.candidate_id == CandidateTable.id)
        .where(*mine)
        for table in tables
    }
    contents["candidate"] = select(*_kept(CandidateTable)).where(*mine)
    failure = [column for column in _kept(FailureTable) if column.name != "reason"]
    contents["failure"] = select(*failure).where(FailureTable.campaign_id == campaign_id)
    return contents


def _kept(table: Any) -> list[Any]:
    return [column for column in table.__table__.columns if column.name not in IGNORED]


def _stream(session: Session, statement: Select[Any]) -> Iterator[Sequence[Any]]:
    return iter(session.execute(statement.execution_options(yield_per=FETCH)))


def _stages(session: Session, campaign_id: int) -> Iterator[Sequence[Any]]:
    """The sums of each stage's counts and digests: what was rejected and not kept counts too."""
    names = session.scalars(select(StageTable.name).where(StageTable.campaign_id == campaign_id)).all()
    for name in names:
        ends = ("input", "survived", "rejected", "duplicate", "invalid", "failed")
        columns = [getattr(ChunkTable, end) for end in ends]
        statement = select(ChunkTable.digest, *columns).where(
            ChunkTable.campaign_id == campaign_id, ChunkTable.stage == name
        )
        totals, digests = [0] * len(ends), 0
        for digest, *counts in _stream(session, statement):
            totals = [total + count for total, count in zip(totals, counts, strict=True)]
            digests += int(digest or "0", 16)
        yield [name, f"{digests % MODULUS:016x}", *totals]
