"""Candidates recorded a second, as a predict task records them, beside SQLAlchemy's plain ORM insert in the same run.

python tests/benchmarks/bench_store.py --rows 1000000 --chunk 1024 --db postgresql://…/empty
"""

import argparse
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from storage.campaigns import NewCampaign, create_campaign
from storage.candidates import NewCandidate, record_candidates
from storage.chunks import Chunk, Cut, NewChunk, add_chunks
from storage.engine import describe, open_database, transaction
from storage.leader import read_leader, take_leadership
from storage.moves import Counts, Finished, Ledger, claim_chunk, finish_chunk, queue_chunk
from storage.states import STAGE_ORDER, StageName
from storage.tables import CandidateTable, ChunkTable, ElementTable
from workers.spellings import spellings
from workers.symbols import SYMBOLS

SAMPLE = 50  # chunks of each way, once the table is full
METALS, ANIONS = SYMBOLS[2:6] + SYMBOLS[10:14] + SYMBOLS[18:31] + SYMBOLS[36:49], ("O", "S", "Se", "F", "Cl", "Br", "N")


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, of this process's processor time, and of the server's where it runs on this host."""

    clock: float = 0.0
    here: float = 0.0
    server: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.clock + other.clock, self.here + other.here, self.server + other.server)

    @property
    def processor(self) -> float:
        """What it takes where nothing else runs: client and server work at once, each on a core."""
        return max(self.here, self.server)


@dataclass(frozen=True)
class Rate:
    """Candidates of one way, and what they took."""

    way: str
    rows: int
    spent: Spent

    def __str__(self) -> str:
        took = f"{1e6 * self.spent.here / self.rows:6.1f} us here, {1e6 * self.spent.server / self.rows:6.1f} us server"
        busy = f"{self.rows / self.spent.processor:>8,.0f} rows per busy second"
        return f"{self.way:42} {self.rows:>11,} {self.rows / self.spent.clock:>8,.0f} rows/s {busy} ({took})"


class Yard:
    """A campaign whose chunks are cut, claimed and ended as in production."""

    def __init__(self, engine: Engine, chunk: int) -> None:
        self.engine, self.chunk, self.cursor = engine, chunk, 0
        new = NewCampaign("bench", {}, 1, "0", (StageName.PREDICT,))
        with transaction(engine) as session:
            self.campaign_id = create_campaign(session, new, now=0.0)
            epoch = take_leadership(session, "bench", read_leader(session))
        assert epoch is not None
        self.epoch = epoch
        self.servers = _server_pids(engine)

    def claim(self) -> Chunk:
        """A chunk in hand."""
        here, self.cursor = self.cursor, self.cursor + self.chunk
        cut = Cut(self.campaign_id, StageName.PREDICT, here, self.cursor, [NewChunk(here, self.cursor)], False)
        with transaction(self.engine) as session:
            assert add_chunks(session, self.epoch, cut)
            chunk_id = session.query(ChunkTable.id).order_by(ChunkTable.id.desc()).limit(1).scalar()
            assert queue_chunk(session, self.epoch, chunk_id, resend_at=60.0, now=1.0)
            chunk = claim_chunk(session, chunk_id, "bench", now=2.0)
        assert chunk is not None
        return chunk

    def record(self, rows: Sequence[NewCandidate]) -> Spent:
        """What the transaction takes that records: the fence first, then the rows."""
        chunk, start = self.claim(), self._now()
        with transaction(self.engine) as session:
            self._finish(session, chunk, len(rows))
            assert len(record_candidates(session, self.campaign_id, chunk.id, rows)) == len(rows)
        return self._since(start)

    def record_by_orm(self, rows: Sequence[NewCandidate]) -> Spent:
        """What the same transaction takes, written as an application without bulk paths would."""
        chunk, start = self.claim(), self._now()
        with transaction(self.engine) as session:
            self._finish(session, chunk, len(rows))
            made = [_object(self.campaign_id, chunk.id, row) for row in rows]
            session.add_all(made)
            session.flush()
            for candidate, row in zip(made, rows, strict=True):
                session.add_all(ElementTable(candidate_id=candidate.id, element=symbol) for symbol in row.elements)
        return self._since(start)

    def _now(self) -> Spent:
        return Spent(perf_counter(), process_time(), sum(processor_seconds(pid) for pid in self.servers))

    def _since(self, start: Spent) -> Spent:
        now = self._now()
        return Spent(now.clock - start.clock, now.here - start.here, now.server - start.server)

    def _finish(self, session: Session, chunk: Chunk, survived: int) -> None:
        counts = Counts(chunk.size, survived=survived, rejected=chunk.size - survived)
        finish_chunk(session, Finished(chunk.id, chunk.attempt, counts, "0" * 16, Ledger(0.0, 0.0, 0.0)), now=3.0)


def candidates(seed: int = 0) -> Iterator[NewCandidate]:
    """Candidates with what the shipped predictor says of them, no formula twice."""
    draw = random.Random(seed)
    seen: set[int] = set()
    while True:
        symbols = (*draw.sample(METALS, draw.choice((1, 2, 2, 3))), draw.choice(ANIONS))
        amounts = [draw.randint(1, 9) for _ in symbols]
        formula = "".join(f"{symbol}{n}" if n > 1 else symbol for symbol, n in zip(symbols, amounts, strict=True))
        if (mark := hash(formula)) in seen:
            continue
        seen.add(mark)
        hull = draw.expovariate(8.0)
        values = {
            "band_gap": (max(0.0, draw.gauss(0.8, 1.2)), draw.uniform(0.02, 0.6)),
            "formation_energy_per_atom": (draw.gauss(-1.5, 0.8), draw.uniform(0.01, 0.2)),
            "e_above_hull": (hull, draw.uniform(0.01, 0.2)),
        }
        yield NewCandidate(formula, symbols, -hull, values)


def measure(engine: Engine, rows: int, chunk: int, sample: int = SAMPLE) -> Iterator[Rate]:
    """The rate up to so many rows, then of both ways, taken in turns."""
    yard, source = Yard(engine, chunk), candidates()
    first = Spent()
    for _ in range(chunks := -(-rows // chunk)):
        first += yard.record(list(islice(source, chunk)))
    yield Rate("recorded, from the first row on", done := chunks * chunk, first)
    ours = plain = Spent()
    for _ in range(sample):
        ours += yard.record(list(islice(source, chunk)))
        plain += yard.record_by_orm(list(islice(source, chunk)))
    yield Rate(f"recorded, at {done:,} rows", sample * chunk, ours)
    yield Rate(f"plain ORM insert, at {done:,} rows", sample * chunk, plain)


def _server_pids(engine: Engine) -> list[int]:
    """The server's processes that work for this database, where they are to be seen from here."""
    if engine.dialect.name != "postgresql":
        return []
    with engine.connect() as connection:
        mine = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"
        return [pid for pid in connection.scalars(text(mine)) if Path(f"/proc/{pid}/stat").exists()]


def processor_seconds(pid: int) -> float:
    """What a process on this host has taken so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _object(campaign_id: int, chunk_id: int, row: NewCandidate) -> CandidateTable:
    reduced, anonymous = spellings(row.formula)
    values = {
        key: number
        for name, (value, std) in row.predictions.items()
        for key, number in ((name, value), (f"{name}_std", std))
    }
    return CandidateTable(
        campaign_id=campaign_id, chunk_id=chunk_id, formula=row.formula, chemical_formula_reduced=reduced,
        chemical_formula_anonymous=anonymous, nelements=len(row.elements), survived=STAGE_ORDER[StageName.PREDICT],
        surplus=False, score=row.score, chemical_system="-".join(sorted(row.elements)), **values,
    )  # fmt: skip


def report(engine: Engine, rows: int, chunk: int, sample: int = SAMPLE) -> None:
    """Print the rates and their ratio."""
    print(f"{engine.dialect.name}, chunks of {chunk:,}")
    rates = []
    for rate in measure(engine, rows, chunk, sample):
        rates.append(rate)
        print(f"  {rate}", flush=True)
    _, ours, plain = (rate.spent for rate in rates)
    busy = plain.processor / ours.processor
    print(f"  {plain.clock / ours.clock:.1f} times the plain ORM insert by the clock, {busy:.1f} by busy seconds")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_recording_beside_the_plain_orm(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path / "store.db") if kind == "sqlite" else request.getfixturevalue("postgres_url")
    engine = open_database(url)
    print()
    report(engine, 20_000, 1_024, sample=5)
    engine.dispose()


def main() -> None:
    """Fill an empty database and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chunk", type=int, default=1_024)
    parser.add_argument("--db", help="default: a new SQLite file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(asked.db or str(Path(folder) / "store.db"))
        print(describe(engine))
        report(engine, asked.rows, asked.chunk)
        engine.dispose()


if __name__ == "__main__":
    main()
