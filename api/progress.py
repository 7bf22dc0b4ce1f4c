"""Live progress of a campaign: a table that renews itself on a terminal, plain lines anywhere else."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TextIO

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from api.numbers import counted, duration
from api.tables import console
from storage.funnels import StageReport
from storage.states import ChunkState, StageName

LINE_SECONDS = 5.0  # between two plain lines of one stage
BAR = 30
AT_WORK = (ChunkState.QUEUED, ChunkState.RUNNING)


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a stage is: inputs ended of all, if known, inputs per second since this run began, seconds left."""

    name: StageName
    done: int
    total: int | None
    survived: int
    closed: bool
    rate: float | None
    left: float | None


@dataclass(slots=True)
class Watch:
    """Where each stage stood when this run saw it begin, by the clock that `paces` is given."""

    starts: dict[StageName, tuple[float, int]] = field(default_factory=dict)


def totals(spec: Mapping[str, Any], reports: Sequence[StageReport]) -> dict[StageName, int | None]:
    """How many inputs each stage will have, None while the stage before it is open."""
    known: dict[StageName, int | None] = {}
    by_name = {report.name: report for report in reports}
    for report in reports:
        upstream = by_name.get(StageName.CSP if report.name == StageName.JUDGE else StageName.PREDICT)
        if report.closed:
            known[report.name] = report.counts.input
        elif report.name == StageName.PREDICT:
            known[report.name] = report.source_size
        elif upstream is not None and upstream.closed:
            known[report.name] = _at_most(upstream.counts.survived, spec, report.name)
        else:
            known[report.name] = None
    return known


def paces(watch: Watch, reports: Sequence[StageReport], spec: Mapping[str, Any], now: float) -> list[Pace]:
    """The pace of each stage at a moment, in seconds of any clock that never goes back."""
    expected = totals(spec, reports)
    return [_pace(watch, report, expected[report.name], now) for report in reports]


class Display(Protocol):
    """Where progress is shown."""

    def show(self, stages: Sequence[Pace], now: float, left: float | None = None) -> None:
        """Show the stages as they are at a moment of the clock of their paces, and the seconds that are left."""


@contextmanager
def watching(out: TextIO) -> Iterator[Display]:
    """The display that suits where it writes to."""
    if not out.isatty():
        yield Lines(out)
        return
    with Live(console=console(out), auto_refresh=False) as live:
        yield Terminal(live)


class Terminal:
    """Progress as a table that is drawn anew in its place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, stages: Sequence[Pace], now: float, left: float | None = None) -> None:
        """Draw the stages as they are."""
        table = Table.grid(padding=(0, 2))
        for pace in stages:
            table.add_row(pace.name, _bar(pace), *_cells(pace))
        if left:
            table.caption = in_all(left)
            table.caption_justify = "left"
        self._live.update(table, refresh=True)


class Lines:
    """Progress as a line now and then."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: dict[StageName, tuple[float, Pace]] = {}

    def show(self, stages: Sequence[Pace], now: float, left: float | None = None) -> None:
        """Write a line for each stage that moved, when it is time for one or the stage has closed."""
        before = dict(self._last)
        for pace in stages:
            since, last = self._last.get(pace.name, (float("-inf"), None))
            news = last is None or (pace.done, pace.closed) != (last.done, last.closed)
            if (pace.done or pace.closed) and news and (pace.closed or now - since >= LINE_SECONDS):
                self._last[pace.name] = (now, pace)
                print(f"{pace.name}: {', '.join(cell for cell in _cells(pace) if cell)}", file=self._out, flush=True)
        if left and before != self._last:
            print(in_all(left), file=self._out, flush=True)


def in_all(left: float) -> str:
    """When all will be done, in words and by the wall clock."""
    ends = datetime.now().astimezone() + timedelta(seconds=left)
    return f"in all about {duration(left)} left, until {ends:%H:%M} on {ends:%Y-%m-%d}"


def _bar(pace: Pace) -> ProgressBar:
    done = pace.done if pace.total else 0
    # Plain colours: those of rich's theme look all the same on a terminal of sixteen.
    return ProgressBar(
        total=pace.total or 1,
        completed=done,
        width=BAR,
        style="bright_black",
        complete_style="cyan",
        finished_style="green",
    )


def _pace(watch: Watch, report: StageReport, total: int | None, now: float) -> Pace:
    done = report.counts.input
    began, before = watch.starts.get(report.name, (now, done))
    if done == before and not any(report.chunks.get(state) for state in AT_WORK):
        began = now  # nothing is at work yet: waiting for the stage before is no time of this one
    watch.starts[report.name] = (began, before)
    rate = (done - before) / (now - began) if done > before and now > began else None
    if report.closed:
        rate = rate or report.rate
    left = (total - done) / rate if rate and total is not None and not report.closed else None
    return Pace(report.name, done, total, report.counts.survived, report.closed, rate, left)


def _cells(pace: Pace) -> tuple[str, str, str, str]:
    share = counted(pace.done) if pace.total is None else f"{counted(pace.done)} of {counted(pace.total)}"
    rate = "" if pace.rate is None else f"{pace.rate:,.1f}/s"
    left = "closed" if pace.closed else "" if pace.left is None else f"{duration(pace.left)} left"
    return share, rate, left, f"{counted(pace.survived)} survived"


def _at_most(survivors: int, spec: Mapping[str, Any], stage: StageName) -> int:
    top = (spec.get(stage) or {}).get("top")
    return survivors if top is None else min(survivors, top)
