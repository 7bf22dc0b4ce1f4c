"""Pages by key: the same rows as the whole list, whatever is stored between two of them."""

import random

import pytest

from storage.candidates import NewCandidate
from storage.engine import reading
from storage.pages import Mark, Page, read_page
from storage.queries import Query, query
from workers.errors import UserError
from workers.filters import parse_filter

COUNT = 230
SORTS = ("-score", "score", "formula", "-formula", "hardness", "-hardness_std", "campaign", "-nelements", "verdict")


@pytest.fixture
def stocked(yard):
    """Ties, unknown values, and a property that users added."""
    draw = random.Random(5)
    scores = [None if draw.random() < 0.4 else draw.randrange(9) / 8 for _ in range(COUNT)]
    rows = [
        NewCandidate(f"Cs{n}I", ("Cs", "I"), score, {"hardness": (n % 7, n % 3)} if n % 3 else {})
        for n, score in enumerate(scores)
    ]
    yard.keep(*rows)
    return yard


def page(yard, size: int, after: Mark | None = None, **asked) -> Page:
    with reading(yard.engine) as session:
        return read_page(session, Query(**asked), size, after)


def walk(yard, size: int, **asked) -> list[dict]:
    rows, here = [], page(yard, size, **asked)
    while here.next is not None:
        assert len(here.rows) == size
        rows += here.rows
        here = page(yard, size, here.next, **asked)
    return [*rows, *here.rows]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_joined_are_the_whole_list(stocked, sort: str) -> None:
    with reading(stocked.engine) as session:
        whole = list(query(session, Query(sort=sort)))
    for size in (17, COUNT // 2, COUNT, COUNT + 1):
        rows = walk(stocked, size, sort=sort)
        assert [{key: row[key] for key in whole[0]} for row in rows] == whole
        assert len({row["id"] for row in rows}) == COUNT


def test_a_filter_holds_on_every_page(stocked) -> None:
    asked = {"filter": parse_filter("score > 0.5"), "campaign_id": stocked.campaign_id}
    rows = walk(stocked, 10, **asked)
    assert len(rows) > 20
    assert all(row["score"] > 0.5 for row in rows)


def test_what_is_stored_between_two_pages_repeats_no_row_and_hides_none(stocked) -> None:
    before = walk(stocked, COUNT)
    first = page(stocked, 40)
    new = [NewCandidate(f"Rb{n}I", ("Rb", "I"), n / 10, {}) for n in range(12)]
    stocked.keep(*new, NewCandidate("RbI", ("Rb", "I"), None, {}))
    rows, here = [*first.rows], first
    while here.next is not None:
        here = page(stocked, 40, here.next)
        rows += here.rows
    keys = [row["id"] for row in rows]
    assert len(set(keys)) == len(keys)
    assert [row for row in rows if not row["formula"].startswith("Rb")] == before


def test_a_mark_of_another_order_is_refused(stocked) -> None:
    with pytest.raises(UserError, match="another order"):
        page(stocked, 5, Mark("CsI", "CsI", 1), sort="-score")
    with pytest.raises(UserError, match="another order"):
        page(stocked, 5, Mark(1.0, "CsI", 1), sort="formula")


def test_an_empty_list_is_one_empty_page(yard) -> None:
    assert page(yard, 5) == Page((), None)
