"""Chunks: cutting a stage's input into units of work, and reading them."""

from dataclasses import dataclass

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.orm import Session

from storage.errors import NotFound, StorageError
from storage.leader import leads
from storage.rows import batches, changed
from storage.states import ChunkState, StageName
from storage.tables import ChunkTable, StageTable


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A range [start, stop) of the source, or a list of formulas."""

    start: int | None = None
    stop: int | None = None
    formulas: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """How many inputs it holds."""
        return len(self.formulas) if self.formulas is not None else (self.stop or 0) - (self.start or 0)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A unit of work as it stands; resend_at in unix seconds."""

    id: int
    campaign_id: int
    stage: StageName
    ordinal: int
    start: int | None
    stop: int | None
    formulas: tuple[str, ...] | None
    size: int
    state: ChunkState
    attempt: int
    errors: int
    crashes: int
    alone: bool
    worker_id: str | None
    reason: str | None
    resend_at: float | None


@dataclass(frozen=True, slots=True)
class Cut:
    """The next chunks of a stage, from its cursor to the next; drained are the upstream chunks that they empty."""

    campaign_id: int
    stage: StageName
    cursor: int
    next_cursor: int
    chunks: tuple[NewChunk, ...]
    exhausted: bool = False
    cursor_formula: str | None = None
    drained: tuple[int, ...] = ()


COLUMNS = tuple(getattr(ChunkTable, name) for name in Chunk.__slots__)


def add_chunks(session: Session, epoch: int, cut: Cut) -> bool:
    """Move a stage's cursor and store the chunks between; False where the cursor stands elsewhere by now.

    Raises StorageError where an upstream chunk was passed on already.
    """
    statement = update(StageTable).where(
        StageTable.campaign_id == cut.campaign_id,
        StageTable.name == cut.stage,
        StageTable.cursor == cut.cursor,
        StageTable.exhausted.is_(False),
        leads(epoch),
    )
    moved = statement.values(cursor=cut.next_cursor, cursor_formula=cut.cursor_formula, exhausted=cut.exhausted)
    if changed(session, moved) != 1:
        return False
    _drain(session, cut.drained)
    rows = [_row(cut, place, chunk) for place, chunk in enumerate(cut.chunks)]
    if rows:
        session.execute(insert(ChunkTable), rows)
    return True


def read_chunk(session: Session, chunk_id: int) -> Chunk:
    """One chunk; raises NotFound."""
    row = session.execute(select(*COLUMNS).where(ChunkTable.id == chunk_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("chunk", chunk_id, "it may belong to another database")
    return to_chunk(row)


def count_duplicates(session: Session, chunk_id: int, number: int) -> None:
    """Note that so many survivors of a chunk that has just ended stood already, from other chunks."""
    values = {"survived": ChunkTable.survived - number, "duplicate": ChunkTable.duplicate + number}
    changed(session, update(ChunkTable).where(ChunkTable.id == chunk_id).values(values))


def to_chunk(row: RowMapping) -> Chunk:
    """The chunk of a row with COLUMNS."""
    formulas = None if row["formulas"] is None else tuple(row["formulas"])
    typed = {"stage": StageName(row["stage"]), "state": ChunkState(row["state"]), "formulas": formulas}
    return Chunk(**{**row, **typed})


def _drain(session: Session, chunk_ids: tuple[int, ...]) -> None:
    for batch in batches(chunk_ids):
        statement = update(ChunkTable).where(ChunkTable.id.in_(batch), ChunkTable.drained.is_(False))
        if changed(session, statement.values(drained=True)) != len(batch):
            raise StorageError(f"some of the chunks {batch[:9]} were passed on already; nothing is stored twice")


def _row(cut: Cut, place: int, chunk: NewChunk) -> dict[str, object]:
    return {
        "campaign_id": cut.campaign_id,
        "stage": cut.stage,
        "ordinal": cut.cursor + place,
        "start": chunk.start,
        "stop": chunk.stop,
        "formulas": None if chunk.formulas is None else list(chunk.formulas),
        "size": chunk.size,
        "state": ChunkState.WAITING,
    }
