"""Figures of what a predictor told of rows that it had not seen: parity, and how far its doubt holds."""

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from api.outputs import replacing
from workers.cards import Card
from workers.predictors.tuning.learner import Trials
from workers.predictors.tuning.trials import judge

DPI = 160
_POINTS = 4_000  # beyond so many rows, points would hide each other and hexagons count them
_BLUE = "#2f6fb0"


def draw_trials(card: Card, trials: Trials, folder: Path) -> tuple[Path, Path]:
    """Write NAME-parity.png and NAME-calibration.png to a folder and return their paths."""
    files = (folder / f"{card.name}-parity.png", folder / f"{card.name}-calibration.png")
    classes = card.config.get("classes")
    figures = (
        _parity(card, trials) if classes is None else _scores(card, trials),
        _calibration(card, trials, classes is not None),
    )
    for file, figure in zip(files, figures, strict=True):
        with replacing(file) as draft:
            figure.savefig(draft, format="png", dpi=DPI)
    return files


def _parity(card: Card, trials: Trials) -> Figure:
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.subplots()
    ends = [float(min(trials.truths.min(), trials.values.min())), float(max(trials.truths.max(), trials.values.max()))]
    if _logarithmic(card):
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends[0] = float(min(trials.truths.min(), trials.values[trials.values > 0].min()))
    if len(trials.truths) > _POINTS:
        scale: Literal["linear", "log"] = "log" if _logarithmic(card) else "linear"
        axes.hexbin(trials.truths, trials.values, gridsize=60, bins="log", mincnt=1, xscale=scale, yscale=scale)
    else:
        axes.errorbar(trials.truths, trials.values, trials.stds, fmt="none", ecolor="#c9d6e8", elinewidth=0.7)
        axes.plot(trials.truths, trials.values, "o", markersize=3, color=_BLUE, alpha=0.7)
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set_xlabel(f"{_axis(card)}, true")
    axes.set_ylabel(f"{_axis(card)}, predicted")
    metrics = card.metrics
    axes.set_title(f"{len(trials.truths):,} rows held out in turn: MAE {metrics['mae']:g}", fontsize=10)
    return figure


def _scores(card: Card, trials: Trials) -> Figure:
    """How often each score was told, by the true class."""
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(0.0, 1.0, 31).tolist()
    classes = card.config["classes"]
    assert isinstance(classes, list)
    for side, colour in ((0, "#9aa5b1"), (1, _BLUE)):
        rows = trials.truths > 0.5 if side else trials.truths <= 0.5
        axes.hist(trials.values[rows], bins=bins, alpha=0.6, color=colour, label=f"true class {classes[side]}")
    axes.axvline(0.5, color="black", linewidth=0.8)
    axes.set_xlabel(f"{card.name}: score of {classes[1]}")
    axes.set_ylabel("rows")
    axes.legend(frameon=False)
    accuracy = card.metrics["balanced_accuracy"]
    axes.set_title(f"{len(trials.truths):,} rows held out in turn: balanced accuracy {accuracy:g}", fontsize=10)
    return figure


def _calibration(card: Card, trials: Trials, classification: bool) -> Figure:
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.subplots()
    reliability = judge(trials, classification)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axes.plot(reliability.expected, reliability.found, color=_BLUE, marker="o" if classification else None)
    what = "rows of the second class" if classification else "truths inside the interval"
    axes.set_xlabel("probability that was told" if classification else "probability of a central interval")
    axes.set_ylabel(f"share of {what}")
    axes.set_title(f"{card.name}: calibration, mean distance {reliability.area:.3f}", fontsize=10)
    return figure


def _logarithmic(card: Card) -> bool:
    transform = card.config["transform"]
    assert isinstance(transform, dict)
    return bool(transform["logarithmic"])


def _axis(card: Card) -> str:
    unit = card.config.get("unit")
    return f"{card.name} / {unit}" if unit else card.name
