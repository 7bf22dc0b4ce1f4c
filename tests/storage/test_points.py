"""Points of plots, from few candidates and from more than a look at the database finds."""

from collections.abc import Sequence

import pytest
from sqlalchemy import update

from storage import points
from storage.candidates import NewCandidate
from storage.engine import reading, transaction
from storage.points import plottable, read_points
from storage.queries import Query
from storage.tables import CandidateTable
from workers.errors import UserError
from workers.filters import parse_filter

AXES = ("band_gap", "e_above_hull")


def candidates(numbers: Sequence[int]) -> list[NewCandidate]:
    return [
        NewCandidate(
            f"Na{number}Cl", ("Cl", "Na"), 0.0, {"band_gap": (number / 10, 0.1), "e_above_hull": (-number / 10, 0.1)}
        )
        for number in numbers
    ]


def test_all_points_of_few_candidates(yard) -> None:
    yard.keep(*candidates(range(2, 22)), NewCandidate("GaAs", ("As", "Ga"), 0.0, {"band_gap": (1.2, 0.1)}))
    with reading(yard.engine) as session:
        found = read_points(session, Query(), AXES, 100)
        some = read_points(session, Query(parse_filter("band_gap > 1")), AXES, 100)
        none = read_points(session, Query(campaign_id=99), AXES, 100)
    assert found.exact and len(found.points) == 20  # GaAs knows one of the two alone
    assert all(point.y == -point.x for point in found.points)
    assert {point.formula for point in some.points} == {f"Na{number}Cl" for number in range(11, 22)}
    assert none.exact and none.points == ()


def test_of_more_points_as_many_as_asked_for_and_the_same_again(yard) -> None:
    yard.keep(*candidates(range(2, 102)))
    with reading(yard.engine) as session:
        found = read_points(session, Query(), AXES, 10)
        assert read_points(session, Query(), AXES, 10) == found
    assert not found.exact and len({point.id for point in found.points}) == 10


def test_many_candidates_are_sampled_and_rare_ones_found(yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "FEW", 500)
    monkeypatch.setattr(points, "DRAWN", 20)
    yard.keep(*candidates(range(2, 1002)))
    with reading(yard.engine) as session:
        common = read_points(session, Query(parse_filter("band_gap > 20")), AXES, 1000)
        rare = read_points(session, Query(parse_filter("band_gap > 99.85")), AXES, 1000)
    assert not common.exact and 100 < len(common.points) <= 200
    assert all(point.x > 20 for point in common.points)
    assert rare.exact and {point.formula for point in rare.points} == {f"Na{number}Cl" for number in (999, 1000, 1001)}


def test_surplus_candidates_are_no_points(yard) -> None:
    yard.keep(*candidates(range(2, 5)))
    with transaction(yard.engine) as session:
        session.execute(update(CandidateTable).where(CandidateTable.formula == "Na2Cl").values(surplus=True))
    with reading(yard.engine) as session:
        assert len(read_points(session, Query(), AXES, 9).points) == 2


@pytest.mark.parametrize("axes", [("formula", "band_gap"), ("band_gap", "1; drop")])
def test_only_numbers_are_axes(yard, axes: tuple[str, str]) -> None:
    yard.keep(*candidates(range(2, 4)))
    with reading(yard.engine) as session, pytest.raises(UserError, match="not a number of candidates") as failed:
        read_points(session, Query(), axes, 9)
    assert "band_gap" in str(failed.value)


def test_properties_of_users_are_axes_too() -> None:
    assert plottable(["strength"])[-2:] == ("strength", "strength_std")
