import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text, update

from storage.backups import back_up, is_empty, restore
from storage.candidates import NewCandidate
from storage.checks import find_flaws
from storage.engine import open_database, reading, transaction
from storage.failures import NewFailure, record_failures
from storage.hashes import content_hash
from storage.models import record_model
from storage.states import StageName
from storage.structures import NewStructure, record_structures
from storage.tables import CandidateTable, ChunkTable, ElementTable, ExplanationTable, WeightsPartTable, WeightsTable

CSI = NewCandidate("CsI", ("Cs", "I"), 0.1 + 0.2, {"band_gap": (1 / 3, 0.1), "hardness": (2.5, None)})
KCL = NewCandidate("KCl", ("K", "Cl"), None, {})
DIGEST = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"  # of "aaa"


@pytest.fixture
def full(yard) -> Engine:
    """A database with a row of most kinds."""
    chunk = yard.keep(CSI, KCL)
    with transaction(yard.engine) as session:
        record_structures(session, yard.campaign_id, [NewStructure("CsI", 0, 0, {"a": [1.5, None]}, 221, 2)])
        failed = NewFailure(StageName.PREDICT, "Xx", "source 3", "invalid", "no such element", chunk.id)
        record_failures(session, yard.campaign_id, [failed])
        record_model(session, "a" * 64, "imkt", {"tile": 8})
        session.add(WeightsTable(sha256=DIGEST, name="mine", card={}))
        session.flush()
        session.add_all(WeightsPartTable(sha256=DIGEST, part=n, content=b"a") for n in range(3))
        candidate = session.scalar(select(CandidateTable.id).where(CandidateTable.formula == "CsI"))
        why = {"index": "SV", "order": 1, "baseline": 0.0, "value": 1.0, "interactions": [], "players": "elements"}
        session.add(ExplanationTable(candidate_id=candidate, property="band_gap", **why))
    return yard.engine


def content(engine: Engine, campaign_id: int) -> str:
    with reading(engine) as session:
        assert list(find_flaws(session)) == []
        return content_hash(session, campaign_id)


def flaws(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return list(find_flaws(session))


def test_a_backup_comes_back_whole_to_any_kind_of_database(yard, full, tmp_path, sqlite_yard) -> None:
    sqlite_yard.keep(KCL)
    file, wanted = tmp_path / "backup.db", content(full, yard.campaign_id)
    back_up(full, file)
    yard.keep(NewCandidate("LiF", ("Li", "F"), 1.0, {}))
    for target in (full, sqlite_yard.engine):
        restore(file, target)
        assert content(target, yard.campaign_id) == wanted
        with reading(target) as session:
            assert session.scalar(select(func.count()).select_from(WeightsPartTable)) == 3
    # Ids go on after the restored ones.
    yard.keep(NewCandidate("NaBr", ("Na", "Br"), 1.0, {}))
    assert flaws(full) == []


def test_a_backup_is_one_moment_while_others_write(sqlite_yard, tmp_path: Path) -> None:
    sqlite_yard.keep(CSI)
    with transaction(sqlite_yard.engine) as session:
        session.execute(update(CandidateTable).values(score=9.0))
        session.flush()
        back_up(sqlite_yard.engine, tmp_path / "backup.db")
    copy = open_database(str(tmp_path / "backup.db"), create=False)
    with reading(copy) as session:
        assert session.scalar(select(CandidateTable.score)) == CSI.score
    copy.dispose()
    assert sorted(path.name for path in tmp_path.glob("backup.db*")) == ["backup.db"]


def test_empty_is_what_nobody_would_miss(engine: Engine) -> None:
    with transaction(engine) as session:
        assert is_empty(session)
        record_model(session, "a" * 64, "imkt", {})
        assert not is_empty(session)


def test_check_says_what_does_not_fit(yard, full) -> None:
    with transaction(full) as session:
        chunk = session.scalar(select(ChunkTable.id))
        session.execute(update(ChunkTable).values(rejected=7))
        session.execute(update(WeightsPartTable).where(WeightsPartTable.part == 0).values(content=b"b"))
        session.execute(text("DELETE FROM candidate_element WHERE element = 'Cl'"))
    lines = "\n".join(flaws(full))
    assert f"chunk {chunk}: " in lines
    assert f"campaign {yard.campaign_id}: its candidates have 4 elements, but 3 of them stand" in lines
    assert f"weights {DIGEST}: " in lines


def test_check_counts_candidates_that_are_missing(yard, full) -> None:
    with transaction(full) as session:
        kcl = session.scalar(select(CandidateTable.id).where(CandidateTable.formula == "KCl"))
        session.execute(text(f"DELETE FROM {ElementTable.__tablename__} WHERE candidate_id = {kcl}"))
        session.execute(text(f"DELETE FROM candidate WHERE id = {kcl}"))
    assert flaws(full) == [f"campaign {yard.campaign_id}: 2 inputs survived, but 1 candidates stand"]


def test_check_finds_a_broken_file(sqlite_yard) -> None:
    sqlite_yard.keep(CSI)
    path = sqlite_yard.engine.url.database
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO candidate_element (element, candidate_id) VALUES ('Pb', 99)")
    connection.commit()
    connection.close()
    assert any("belongs to a row of candidate that is missing" in line for line in flaws(sqlite_yard.engine))
