import random
from itertools import pairwise

import pytest

from storage.candidates import NewCandidate
from storage.engine import reading, transaction
from storage.filters import FINDINGS
from storage.queries import PAGE, Query, columns, query, query_crystals
from storage.structures import NewStructure, record_structures
from workers.errors import InvalidFilter, UserError
from workers.filters import parse_filter

COUNT = 2 * PAGE + 300


@pytest.fixture
def stocked(yard):
    """More rows than two pages hold, with ties and unknown values."""
    draw = random.Random(5)
    scores = [None if draw.random() < 0.6 else draw.randrange(40) / 8 for _ in range(COUNT)]
    rows = [
        NewCandidate(f"Cs{n}I", ("Cs", "I"), score, {"hardness": (n % 50, 0.5)} if n % 3 else {})
        for n, score in enumerate(scores)
    ]
    yard.keep(*rows)
    return yard


def ask(yard, **asked) -> list[dict]:
    with reading(yard.engine) as session:
        return list(query(session, Query(**asked)))


def test_every_row_comes_once_and_in_order(stocked) -> None:
    for sort in ("-score", "score", "formula", "-formula", "hardness", "-hardness_std", "-campaign"):
        rows = ask(stocked, sort=sort)
        assert len({row["formula"] for row in rows}) == len(rows) == COUNT
        assert all(in_order(above, below, sort) for above, below in pairwise(rows))


def in_order(above: dict, below: dict, sort: str) -> bool:
    """Whether a row may follow: by the column, unknown last, then by formula."""
    first, second = (row[sort.removeprefix("-")] for row in (above, below))
    if first == second:
        return above["formula"] < below["formula"]
    if first is None or second is None:
        return second is None
    return (first > second) == sort.startswith("-")


def test_a_limit_cuts_the_same_list(stocked) -> None:
    rows = ask(stocked)
    for limit in (0, 1, PAGE, PAGE + 1, COUNT + 5):
        assert ask(stocked, limit=limit) == rows[:limit]


def test_rows_have_the_columns_of_the_contract(stocked) -> None:
    (row,) = ask(stocked, limit=1)
    with reading(stocked.engine) as session:
        assert list(row) == [*columns(session), *FINDINGS]
        assert columns(session)[-2:] == ["hardness", "hardness_std"]
    assert list(row)[:6] == ["campaign", "formula", "verdict", "score", "band_gap", "band_gap_std"]


def test_a_filter_and_a_campaign_narrow_the_list(stocked) -> None:
    above = ask(stocked, filter=parse_filter("score > 2 AND hardness < 10"), campaign_id=stocked.campaign_id)
    assert above
    assert all(row["score"] > 2 and row["hardness"] < 10 for row in above)
    assert ask(stocked, campaign_id=stocked.campaign_id + 1) == []


def test_what_cannot_be_asked_is_said_at_once(stocked) -> None:
    with reading(stocked.engine) as session:
        with pytest.raises(UserError, match="sort '-gap': not a column; id, campaign, formula"):
            query(session, Query(sort="-gap"))
        with pytest.raises(InvalidFilter):
            query(session, Query(filter=parse_filter("gap > 1")))


def test_crystals_come_in_the_order_of_the_rows(yard) -> None:
    yard.keep(*(NewCandidate(f"Cs{n}I", ("Cs", "I"), n, {}) for n in range(4)))
    crystals = [NewStructure(f"Cs{n}I", rank, 0, {"n": n, "rank": rank}, 1, 2) for n in (1, 3) for rank in (0, 1)]
    with transaction(yard.engine) as session:
        record_structures(session, yard.campaign_id, crystals)
        found = list(query_crystals(session, Query()))
    assert found == [(yard.campaign_id, f"Cs{n}I", {"n": n, "rank": 0}) for n in (3, 1)]
