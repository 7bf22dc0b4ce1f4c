"""The figures of a report: the funnel, throughput over time, the spread of scores."""

import io
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawn

from storage.funnels import StageReport
from storage.histories import Ended

BINS = 60
DPI = 110
KEPT, LOST = "#2f6fb0", "#c9d3de"
_SEED = "sluice"  # of the ids inside an SVG, so that one report is one file

Scores = tuple[list[float], list[int]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as base64 of an SVG and of a PNG."""

    title: str
    svg: str
    png: str


def figures(stages: Sequence[StageReport], ended: Sequence[Ended], scores: Scores | None) -> tuple[Figure, ...]:
    """What there is to draw."""
    return tuple(_figures(stages, ended, scores))


def _figures(stages: Sequence[StageReport], ended: Sequence[Ended], scores: Scores | None) -> Iterator[Figure]:
    if any(report.counts.input for report in stages):
        yield _drawn("Inputs and survivors of each stage", lambda axes: _funnel(axes, stages))
    if len({chunk.at for chunk in ended}) > 1:
        yield _drawn("Inputs per second over time", lambda axes: _throughput(axes, ended))
    if scores is not None:
        found = scores
        yield _drawn("Scores of the candidates", lambda axes: _scores(axes, found))


def _funnel(axes: Axes, stages: Sequence[StageReport]) -> None:
    names = [report.name for report in stages]
    axes.barh(names, [max(report.counts.input, 0.5) for report in stages], color=LOST, label="inputs")
    axes.barh(names, [max(report.counts.survived, 0.5) for report in stages], color=KEPT, height=0.5, label="survived")
    axes.set_xscale("log")
    axes.set_xlim(left=0.5)  # on a logarithmic axis nothing is drawn at zero, and a bar's length must start alike
    axes.invert_yaxis()
    axes.legend(frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")


def _throughput(axes: Axes, ended: Sequence[Ended]) -> None:
    first, last = ended[0].at, ended[-1].at
    bins = max(1, min(BINS, len(ended) // 3))  # several chunks in each, or it would show when single chunks ended
    edges = np.linspace(first, last, bins + 1)
    width = (last - first) / bins
    for stage in dict.fromkeys(chunk.stage for chunk in ended):
        own = [chunk for chunk in ended if chunk.stage == stage]
        inputs, _ = np.histogram([chunk.at for chunk in own], edges, weights=[chunk.inputs for chunk in own])
        axes.stairs(inputs / width, (edges - first) / 60, label=stage)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes since the first chunk ended")
    axes.legend(frameon=False, bbox_to_anchor=(1.0, 1.0), loc="upper left")


def _scores(axes: Axes, scores: Scores) -> None:
    edges, counts = scores
    axes.stairs(counts, edges, fill=True, color=KEPT)
    axes.set_xlabel("score")
    axes.set_ylabel("candidates")


def _drawn(title: str, draw: Callable[[Axes], None]) -> Figure:
    figure = Drawn(figsize=(6.0, 3.2), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return Figure(title, _saved(figure, "svg"), _saved(figure, "png"))


def _saved(figure: Drawn, form: str) -> str:
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": _SEED}):
        figure.savefig(file, format=form, dpi=DPI, metadata={"Date": None} if form == "svg" else None)
    return b64encode(file.getvalue()).decode("ascii")
