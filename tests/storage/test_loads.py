import threading

import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.exc import IntegrityError, OperationalError

from storage.candidates import NewCandidate, record_candidates
from storage.chunks import NewChunk
from storage.engine import reading, transaction
from storage.loads import indexes_afterwards, load_rows, new_ids
from storage.tables import CandidateTable, ElementTable

PAIR = [
    NewCandidate("CsI", ("Cs", "I"), 0.5, {"band_gap": (6.1, 0.2)}),
    NewCandidate("KCl", ("K", "Cl"), 0.25, {"hardness": (2.5, None)}),
]


def total(engine, table) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_ids_are_new_and_go_on_after_a_load(yard) -> None:
    chunk = yard.keep(*PAIR)
    with transaction(yard.engine) as session:
        taken = set(session.scalars(select(CandidateTable.id)))
        assert taken.isdisjoint(new_ids(session, CandidateTable, 3))
        third = NewCandidate("LiF", ("Li", "F"), None, {})
        assert record_candidates(session, yard.campaign_id, chunk.id, [third]) == ["LiF"]
    assert total(yard.engine, CandidateTable) == 3


def test_a_load_stores_all_or_nothing(yard) -> None:
    yard.keep(*PAIR)
    rows = [("Pb", 1), ("Cs", 1)]  # the second stands
    with pytest.raises(IntegrityError), transaction(yard.engine) as session:
        load_rows(session, "candidate_element", ("element", "candidate_id"), rows)
    assert total(yard.engine, ElementTable) == 4


def test_a_lost_server_is_an_error_of_the_database(yard) -> None:
    if yard.engine.dialect.name == "sqlite":
        pytest.skip("there is no server")
    with pytest.raises(OperationalError), transaction(yard.engine) as session:
        pid = session.scalar(select(func.pg_backend_pid()))
        with yard.engine.begin() as other:
            other.execute(select(func.pg_terminate_backend(pid)))
        load_rows(session, "candidate_element", ("element", "candidate_id"), [("Cs", 1)])


def test_a_formula_that_another_writes_at_the_same_time_stands_once(yard) -> None:
    chunks = []
    for start in (0, 10):
        yard.add(NewChunk(start, start + 10))
        chunks.append(yard.run())
    new: list[list[str]] = []

    def late() -> None:
        new.append(yard.finish(chunks[1], PAIR))

    with transaction(yard.engine) as session:
        first = record_candidates(session, yard.campaign_id, chunks[0].id, PAIR[:1])
        other = threading.Thread(target=late)
        other.start()
        other.join(0.5)  # it waits for this transaction, as far as it came
    other.join(60)
    assert (first, new) == (["CsI"], [["KCl"]])
    assert total(yard.engine, CandidateTable) == 2
    assert total(yard.engine, ElementTable) == 4


def test_indexes_come_back_after_a_load(yard) -> None:
    def names() -> set[str]:
        return {str(index["name"]) for index in inspect(yard.engine).get_indexes("candidate")}

    before = names()
    with pytest.raises(KeyError), indexes_afterwards(yard.engine, CandidateTable, ElementTable):
        assert "ix_candidate_score" in before - names()
        yard.keep(*PAIR)
        raise KeyError
    assert names() == before
