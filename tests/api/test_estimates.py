"""The time left: from the pace of now, from earlier campaigns, or not at all."""

import pytest

from api.estimates import earlier_rates, expected_totals, seconds_left
from api.progress import Pace
from storage.engine import open_database, reading
from storage.states import StageName

SPEC = {"csp": {"top": 50}, "explain": {"top": 10}}
STREAMING = {"csp": {}, "explain": {"top": 10}}


def pace(name: StageName, done: int = 0, total: int | None = None, survived: int = 0, **changes: object) -> Pace:
    values = {"closed": False, "rate": None, "left": None} | changes
    return Pace(name, done, total, survived, **values)  # type: ignore[arg-type]


@pytest.fixture
def stages() -> list[Pace]:
    """Predict is half done at 10 inputs a second and keeps a tenth; nothing else has begun."""
    later = [pace(name) for name in (StageName.CSP, StageName.JUDGE, StageName.EXPLAIN)]
    return [pace(StageName.PREDICT, 1000, 2000, survived=100, rate=10.0), *later]


def test_what_is_not_known_is_expected_from_the_survivors_so_far(stages: list[Pace]) -> None:
    assert expected_totals(stages, STREAMING)[StageName.CSP] == 200
    assert expected_totals(stages, SPEC)[StageName.CSP] == 50
    assert expected_totals(stages, SPEC)[StageName.EXPLAIN] == 10
    assert expected_totals(stages, SPEC)[StageName.JUDGE] is None


def test_no_guess_without_a_rate(stages: list[Pace]) -> None:
    assert seconds_left(stages, SPEC, {}) is None
    assert seconds_left(stages[:1], SPEC, {}) == 100.0


def test_a_stage_that_waits_adds_its_time_and_one_that_streams_does_not(stages: list[Pace]) -> None:
    earlier = {StageName.CSP: 1.0, StageName.EXPLAIN: 2.0}
    without_judge = [stages[0], stages[1], stages[3]]
    assert seconds_left(without_judge, SPEC, earlier) == 100.0 + 50.0
    assert seconds_left(without_judge, STREAMING, earlier) == 200.0


def test_nothing_is_left_when_all_is_closed() -> None:
    done = [pace(name, 5, 5, closed=True) for name in StageName]
    assert seconds_left(done, SPEC, {}) == 0.0


def test_earlier_campaigns_lend_their_rates(screened) -> None:
    engine = open_database(str(screened))
    with reading(engine) as session:
        assert earlier_rates(session)[StageName.PREDICT] == pytest.approx(3.0)
    engine.dispose()
