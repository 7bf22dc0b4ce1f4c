"""Explanations and their summaries as figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure
from shapiq import InteractionValues
from shapiq.plot import si_graph_plot

from api.figure_files import Plot
from api.outputs import replacing
from api.periodic_maps import draw_periodic_map
from api.periodic_table import place_of
from api.tables import heading
from workers.errors import UserError
from workers.explanations import REPLICATES
from workers.summaries import MeanInteraction, Summary

RAISES, LOWERS = "#c8362f", "#2f6fb0"
BARS = 24
EDGES = 40
DPI = 160
_SEED = "sluice"  # of the ids inside an SVG, so that one explanation is one file


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a figure shows: players with names, and sets of them with amounts, errors where those are estimated."""

    title: str
    axis: str
    order: int
    interactions: Sequence[tuple[tuple[str, ...], float]]
    errors: Sequence[float] | None = None


def plot_explanation(explanation: Mapping[str, Any], plot: Plot) -> None:
    """Draw the explanation of one formula; raises UserError where there is nothing of that kind to draw."""
    interactions = [(tuple(players), float(amount)) for players, amount in explanation["interactions"]]
    how = f"{explanation['index']}, order {explanation['order']}"
    if explanation["budget"] is not None:
        how += f", estimated from {explanation['budget']:,} coalitions"
    title = f"{explanation['formula']}: what makes its {explanation['property']} ({how})"
    axis = heading(explanation["property"])
    _draw(Drawing(title, axis, explanation["order"], interactions, explanation["errors"]), plot)


def plot_summary(summary: Summary, plot: Plot) -> None:
    """Draw the mean interactions of many formulas; raises UserError where there is nothing of that kind to draw."""
    title = f"{summary.property}: mean over {summary.explained:,} explanations ({summary.index}, order {summary.order})"
    axis = heading(summary.property)
    if plot.kind == "periodic-table":
        if not summary.of_size(2):
            raise UserError("--figure periodic-table: no pair of elements was explained; order 2 is needed")
        _save(draw_periodic_map(summary.of_size(2), title, axis), plot)
        return
    strongest = sorted(summary.means, key=lambda found: -abs(found.mean))
    shown = strongest if plot.kind == "bars" else _connected(summary)
    _draw(Drawing(title, axis, summary.order, [(found.elements, found.mean) for found in shown]), plot)


def _connected(summary: Summary) -> list[MeanInteraction]:
    """The strongest pairs, and the elements that they join, group after group of the periodic table."""
    pairs = summary.of_size(2)[:EDGES]
    joined = {element for pair in pairs for element in pair.elements}
    singles = [found for found in summary.of_size(1) if found.elements[0] in joined]
    return [*sorted(singles, key=lambda found: place_of(found.elements[0])[::-1]), *pairs]


def _draw(drawing: Drawing, plot: Plot) -> None:
    _save(_bars(drawing) if plot.kind == "bars" else _network(drawing), plot)


def _bars(drawing: Drawing) -> Figure:
    errors = drawing.errors or [0.0] * len(drawing.interactions)
    rows = sorted(zip(drawing.interactions, errors, strict=True), key=lambda row: -abs(row[0][1]))[:BARS]
    figure = Figure(figsize=(8.0, 1.4 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    amounts = [amount for (_, amount), _ in rows]
    colours = [RAISES if amount >= 0 else LOWERS for amount in amounts]
    spread = [error for _, error in rows] if drawing.errors else None
    axes.barh(range(len(rows)), amounts, xerr=spread, color=colours, ecolor="#444444", capsize=2)
    axes.set_yticks(range(len(rows)), [" × ".join(players) for (players, _), _ in rows])
    axes.invert_yaxis()
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel(drawing.axis + (f" (± one standard error of {REPLICATES} estimates)" if drawing.errors else ""))
    axes.set_title(drawing.title, fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if (more := len(drawing.interactions) - len(rows)) > 0:
        axes.annotate(f"and {more} weaker ones", (1, 0), xycoords="axes fraction", ha="right", va="bottom", fontsize=8)
    return figure


def _network(drawing: Drawing) -> Figure:
    """shapiq's graph: a node for each player, an edge for each set, red where it raises the property."""
    names = [players[0] for players, _ in drawing.interactions if len(players) == 1]
    if len(names) < 2 or all(len(players) == 1 for players, _ in drawing.interactions):
        raise UserError("--figure network: there is no pair of players to join; order 2 is needed")
    places = {name: place for place, name in enumerate(names)}
    sets = [tuple(sorted(places[name] for name in players)) for players, _ in drawing.interactions]
    amounts = np.array([amount for _, amount in drawing.interactions])
    values = InteractionValues(
        values=amounts,
        index="k-SII",
        max_order=max(map(len, sets)),
        min_order=1,
        n_players=len(names),
        interaction_lookup={found: place for place, found in enumerate(sets)},
    )
    matplotlib.use("agg")
    largest = float(np.abs(amounts).max()) or 1.0
    drawn = si_graph_plot(
        values, feature_names=names, min_max_interactions=(0.0, largest), draw_threshold=-1.0, show=False
    )
    assert drawn is not None
    figure: Figure = drawn[0]
    figure.suptitle(drawing.title, fontsize=10)
    figure.text(0.5, 0.02, f"red raises, blue lowers {drawing.axis}; largest {largest:.2f}", ha="center", fontsize=8)
    return figure


def _save(figure: Figure, plot: Plot) -> None:
    suffix = plot.path.suffix.lower().removeprefix(".")
    metadata = {"Date": None} if suffix == "svg" else None
    try:
        with replacing(plot.path) as draft, matplotlib.rc_context({"svg.hashsalt": _SEED}):
            figure.savefig(draft, format=suffix, dpi=DPI, metadata=metadata)
    except OSError as exc:
        raise UserError(f"--plot {plot.path}: {exc.strerror}; a file that can be written is expected") from exc
    finally:
        pyplot.close(figure)
