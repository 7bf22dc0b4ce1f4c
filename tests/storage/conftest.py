"""A database of each kind with a campaign in it, and short ways to move its chunks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage.campaigns import NewCampaign, create_campaign
from storage.candidates import NewCandidate, record_candidates
from storage.chunks import Chunk, Cut, NewChunk, add_chunks
from storage.engine import open_database, reading, transaction
from storage.hashes import digest_rows
from storage.leader import read_leader, take_leadership
from storage.moves import Counts, Finished, Ledger, claim_chunk, finish_chunk, queue_chunk
from storage.snapshots import StageView, snapshot
from storage.states import StageName


@dataclass(frozen=True)
class Yard:
    """A campaign with all stages, led by one dispatcher."""

    engine: Engine
    campaign_id: int
    epoch: int

    def stage(self, name: StageName = StageName.PREDICT) -> StageView:
        """How a stage stands."""
        with reading(self.engine) as session:
            (mine,) = (view for view in snapshot(session).campaigns if view.id == self.campaign_id)
        return next(view for view in mine.stages if view.stage.name == name)

    def add(self, *chunks: NewChunk, stage: StageName = StageName.PREDICT, exhausted: bool = False) -> None:
        """Cut chunks from where the cursor stands."""
        cursor = self.stage(stage).stage.cursor
        cut = Cut(self.campaign_id, stage, cursor, cursor + sum(chunk.size for chunk in chunks), chunks, exhausted)
        with transaction(self.engine) as session:
            assert add_chunks(session, self.epoch, cut)

    def run(self, stage: StageName = StageName.PREDICT, worker: str = "worker-1") -> Chunk:
        """Send the first waiting chunk and claim it."""
        chunk_id = self.stage(stage).waiting[0].id
        with transaction(self.engine) as session:
            assert queue_chunk(session, self.epoch, chunk_id, resend_at=60.0, now=1.0)
            chunk = claim_chunk(session, chunk_id, worker, now=2.0)
        assert chunk is not None
        return chunk

    def finish(self, chunk: Chunk, rows: Sequence[NewCandidate] = (), digest: str | None = None) -> list[str]:
        """End an attempt in which these candidates survived and all else was rejected."""
        counts = Counts(chunk.size, survived=len(rows), rejected=chunk.size - len(rows))
        kept = digest or digest_rows((row.formula, row.score) for row in rows)
        with transaction(self.engine) as session:
            finished = Finished(chunk.id, chunk.attempt, counts, kept, Ledger(0.1, 0.2, 0.3))
            finish_chunk(session, finished, now=3.0)
            return record_candidates(session, self.campaign_id, chunk.id, rows)

    def keep(self, *rows: NewCandidate) -> Chunk:
        """A chunk from its cut to its end, in which these candidates survived."""
        cursor = self.stage().stage.cursor
        self.add(NewChunk(cursor, cursor + len(rows)))
        chunk = self.run()
        self.finish(chunk, rows)
        return chunk


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that holds nothing yet."""
    return str(tmp_path / "sluice.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A new database."""
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def yard(engine: Engine) -> Yard:
    """A running campaign over a source of 10,000 formulas."""
    return make_yard(engine)


@pytest.fixture
def sqlite_yard(tmp_path: Path) -> Iterator[Yard]:
    """Another one, always on SQLite."""
    engine = open_database(str(tmp_path / "another.db"))
    yield make_yard(engine)
    engine.dispose()


def make_yard(engine: Engine) -> Yard:
    """A campaign, and leadership over its moves."""
    new = NewCampaign("screen", {"top": 5}, 7, "0.1.0", tuple(StageName), source_size=10_000)
    with transaction(engine) as session:
        campaign_id = create_campaign(session, new, now=0.0)
        epoch = take_leadership(session, "dispatcher-1", read_leader(session))
    assert epoch is not None
    return Yard(engine, campaign_id, epoch)
