"""Checks: whether what a database holds fits together."""

from collections.abc import Iterator
from hashlib import sha256

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from storage.models import weights_parts
from storage.states import ChunkState, StageName
from storage.tables import CandidateTable, ChunkTable, ElementTable, WeightsTable

ENDS = ChunkTable.survived + ChunkTable.rejected + ChunkTable.duplicate + ChunkTable.invalid + ChunkTable.failed


def find_flaws(session: Session) -> Iterator[str]:
    """What does not fit, one line each; reads every row."""
    if session.get_bind().dialect.name == "sqlite":
        yield from _file_flaws(session)
    yield from _chunk_flaws(session)
    yield from _candidate_flaws(session)
    yield from _weights_flaws(session)


def _file_flaws(session: Session) -> Iterator[str]:
    """What SQLite itself finds; PostgreSQL has no such command, and keeps its foreign keys at every write."""
    for line in session.scalars(text("PRAGMA integrity_check")):
        if line != "ok":
            yield f"integrity: {line}"
    for table, row, parent, _ in session.execute(text("PRAGMA foreign_key_check")):
        yield f"{table}: row {row} belongs to a row of {parent} that is missing"


def _chunk_flaws(session: Session) -> Iterator[str]:
    done = ChunkTable.state == ChunkState.DONE
    for key in session.scalars(
        select(ChunkTable.id).where(done, (ChunkTable.input != ENDS) | ChunkTable.digest.is_(None))
    ):
        yield f"chunk {key}: it is done, but its inputs and their ends differ, or it has no digest"


def _candidate_flaws(session: Session) -> Iterator[str]:
    columns = (CandidateTable.campaign_id, func.count(), func.sum(CandidateTable.nelements))
    for campaign, candidates, elements in session.execute(select(*columns).group_by(CandidateTable.campaign_id)):
        mine = (ChunkTable.campaign_id == campaign, ChunkTable.stage == StageName.PREDICT)
        survived = session.scalar(
            select(func.sum(ChunkTable.survived)).where(*mine, ChunkTable.state == ChunkState.DONE)
        )
        if candidates != survived:
            yield f"campaign {campaign}: {survived or 0:,} inputs survived, but {candidates:,} candidates stand"
        held = (
            select(func.count())
            .join(CandidateTable, CandidateTable.id == ElementTable.candidate_id)
            .where(CandidateTable.campaign_id == campaign)
        )
        if elements != (found := session.scalar(held.select_from(ElementTable))):
            yield f"campaign {campaign}: its candidates have {elements:,} elements, but {found:,} of them stand"


def _weights_flaws(session: Session) -> Iterator[str]:
    for key in session.scalars(select(WeightsTable.sha256)).all():
        found = sha256()
        for content in session.scalars(weights_parts(key).execution_options(yield_per=1)):
            found.update(content)
        if found.hexdigest() != key:
            yield f"weights {key}: their bytes have another hash, {found.hexdigest()}"
