"""Progress: rates, time left, and what is written where nobody looks on."""

import io
from dataclasses import replace

from api.progress import Lines, Pace, Watch, paces, totals, watching
from storage.funnels import StageReport
from storage.moves import Counts
from storage.states import ChunkState, StageName

SPEC = {"csp": {"top": 50}, "explain": {"top": 10}}


def report(name: StageName, done: int, survived: int = 0, **changes: object) -> StageReport:
    """A stage under way, its first chunk running."""
    counts = Counts(done, survived=survived, rejected=done - survived)
    base = StageReport(name, False, False, done, None, {ChunkState.RUNNING: 1}, counts, 0.0, None, None)
    return replace(base, **changes)


def test_what_a_stage_will_get_is_known_once_the_stage_before_has_closed() -> None:
    predict = report(StageName.PREDICT, 400, 80, source_size=1000)
    later = [report(name, 0) for name in (StageName.CSP, StageName.JUDGE, StageName.EXPLAIN)]
    open_totals = totals(SPEC, [predict, *later])
    assert list(open_totals.values()) == [1000, None, None, None]
    closed = totals(SPEC, [replace(predict, closed=True), *later])
    assert list(closed.values()) == [400, 50, None, 10]
    assert totals({"csp": {}}, [replace(predict, closed=True), later[0]])[StageName.CSP] == 80


def test_the_rate_counts_this_run_alone() -> None:
    watch = Watch()
    (first,) = paces(watch, [report(StageName.PREDICT, 600, source_size=1000)], SPEC, now=50.0)
    assert (first.rate, first.left) == (None, None)
    (second,) = paces(watch, [report(StageName.PREDICT, 800, source_size=1000)], SPEC, now=60.0)
    assert (second.rate, second.left) == (20.0, 10.0)


def test_waiting_for_the_stage_before_is_not_counted() -> None:
    watch = Watch()
    for now in (0.0, 100.0):
        paces(watch, [report(StageName.CSP, 0, chunks={})], SPEC, now)
    paces(watch, [report(StageName.CSP, 0)], SPEC, now=101.0)
    (pace,) = paces(watch, [report(StageName.CSP, 10)], SPEC, now=110.0)
    assert pace.rate == 1.0


def test_a_stage_that_closed_before_this_run_keeps_its_own_rate() -> None:
    done = report(StageName.PREDICT, 500, closed=True, first_at=0.0, last_at=5.0)
    (pace,) = paces(Watch(), [done], SPEC, now=1.0)
    assert (pace.rate, pace.left, pace.total) == (100.0, None, 500)


def test_lines_come_now_and_then_and_at_the_end() -> None:
    out = io.StringIO()
    lines = Lines(out)
    pace = Pace(StageName.PREDICT, 0, 3000, 0, closed=False, rate=None, left=None)
    lines.show([pace], 0.0)
    lines.show([replace(pace, done=1000, survived=10, rate=100.0, left=20.0)], 1.0)
    lines.show([replace(pace, done=1100, survived=11, rate=100.0, left=19.0)], 2.0)
    lines.show([replace(pace, done=3000, survived=30, rate=100.0, closed=True)], 3.0)
    lines.show([replace(pace, done=3000, survived=30, rate=100.0, closed=True)], 30.0)
    assert out.getvalue().splitlines() == [
        "predict: 1,000 of 3,000, 100.0/s, 20 s left, 10 survived",
        "predict: 3,000 of 3,000, 100.0/s, closed, 30 survived",
    ]


class Screen(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_table_that_is_drawn_anew() -> None:
    out = Screen()
    with watching(out) as display:
        for done in (10, 20):
            display.show([Pace(StageName.CSP, done, 20, done, closed=False, rate=2.0, left=5.0)], float(done))
    assert "20 of 20" in out.getvalue()
    assert "2.0/s" in out.getvalue()


def test_a_pipe_gets_plain_lines() -> None:
    with watching(io.StringIO()) as display:
        assert isinstance(display, Lines)
