import pytest

from storage import counts
from storage.candidates import NewCandidate
from storage.counts import Count, count
from storage.deadlines import TookTooLong, deadline
from storage.engine import reading
from storage.queries import Query
from storage.tables import CandidateTable
from workers.filters import parse_filter

COUNT = 3_000


@pytest.fixture
def stocked(yard):
    """One candidate in three with iodine, one in a thousand with a gap above 900."""
    yard.keep(
        *(
            NewCandidate(f"Cs{n}{'I' if n % 3 == 0 else 'Br'}", ("Cs", "I" if n % 3 == 0 else "Br"), None, gap(n))
            for n in range(2, COUNT + 2)
        )
    )
    return yard


def gap(n: int) -> dict[str, tuple[float, float]]:
    return {"band_gap": (float(n % 1000) - 98.0, 0.1), "hardness": (float(n), 1.0)}


def ask(yard, text: str | None) -> Count:
    with reading(yard.engine) as session:
        return count(session, Query(None if text is None else parse_filter(text)))


def test_few_candidates_are_counted_one_by_one(stocked) -> None:
    assert ask(stocked, None) == Count(COUNT, exact=True)
    assert ask(stocked, 'elements HAS "I" AND hardness > 1000') == Count(667, exact=True)


def test_many_are_estimated_and_rare_ones_counted_all_the_same(stocked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "FEW", 100)
    monkeypatch.setattr(counts, "SAMPLE", 600)
    monkeypatch.setattr(counts, "PATIENCE", 60.0)
    found = ask(stocked, 'elements HAS "I" AND hardness IS KNOWN')
    assert not found.exact and found.number == pytest.approx(COUNT / 3, rel=0.2)
    assert ask(stocked, 'elements HAS "I" AND hardness IS KNOWN') == found
    assert ask(stocked, "band_gap > 900") == Count(3, exact=True)


def test_what_would_take_too_long_is_estimated(stocked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "FEW", 100)
    monkeypatch.setattr(counts, "SAMPLE", 600)

    def give_up(session, asked) -> int:
        raise TookTooLong(0.0)

    monkeypatch.setattr(counts, "_exact", give_up)
    found = ask(stocked, "band_gap > 895")
    assert not found.exact and found.number < COUNT / 10


def test_a_statement_past_its_deadline_is_given_up_and_the_next_one_works(stocked) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT max(i) FROM n"
    with reading(stocked.engine) as session:
        with pytest.raises(TookTooLong), deadline(session, 0.05):
            session.connection().exec_driver_sql(endless)
        assert session.query(CandidateTable).count() == COUNT
