"""Pairs of elements as a heat map on the periodic table."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from api.periodic_table import Place, place_of
from workers.summaries import MeanInteraction

_HEAD = 2  # rows of a cell above its small table


def compact(symbols: Sequence[str]) -> dict[str, Place]:
    """Places in a table that has only the rows and columns in which some of these elements stand."""
    places = {symbol: place_of(symbol) for symbol in symbols}
    rows = sorted({row for row, _ in places.values()})
    columns = sorted({column for _, column in places.values()})
    return {symbol: (rows.index(row), columns.index(column)) for symbol, (row, column) in places.items()}


def map_of_pairs(pairs: Sequence[MeanInteraction], places: Mapping[str, Place]) -> np.ndarray:
    """The means of pairs as one grid, NaN where there is none: in the cell of one element, at the place of the other.

    A cell is a small table of all the elements below its heading, with an empty row and column around it.
    """
    height, width = _cell(places)
    rows, columns = (1 + max(place[part] for place in places.values()) for part in (0, 1))
    grid = np.full((rows * height, columns * width), np.nan)
    for pair in pairs:
        first, second = (places[symbol] for symbol in pair.elements)
        for (row, column), (inner_row, inner_column) in ((first, second), (second, first)):
            grid[row * height + _HEAD + inner_row, column * width + inner_column] = pair.mean
    return grid


def draw_periodic_map(pairs: Sequence[MeanInteraction], title: str, axis: str) -> Figure:
    """A periodic table whose every cell holds a small one, coloured by what the two elements add together."""
    places = compact(sorted({symbol for pair in pairs for symbol in pair.elements}))
    grid = map_of_pairs(pairs, places)
    height, width = _cell(places)
    figure = Figure(figsize=_size(grid.shape), layout="constrained")
    axes = figure.subplots()
    largest = float(np.nanmax(np.abs(grid))) or 1.0
    mesh = axes.pcolormesh(np.ma.masked_invalid(grid), cmap="RdBu_r", vmin=-largest, vmax=largest)
    for symbol, (row, column) in places.items():
        left, top = column * width, row * height
        axes.add_patch(_frame((left - 0.5, top), width - 0.3, height - 0.3))
        axes.text(left, top + 0.2, symbol, fontsize=9, fontweight="bold", va="top")
        inner_row, inner_column = row + top + _HEAD, column + left
        axes.plot(inner_column + 0.5, inner_row + 0.5, marker=".", color="black", markersize=3)  # itself
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_axis_off()
    axes.set_title(f"{title}\neach cell: what its element and the element at that place add together", fontsize=9)
    figure.colorbar(mesh, ax=axes, label=axis, shrink=0.7)
    return figure


def _cell(places: Mapping[str, Place]) -> Place:
    """Height and width of a cell, in squares."""
    rows, columns = (1 + max(place[part] for place in places.values()) for part in (0, 1))
    return rows + _HEAD + 1, columns + 1


def _frame(corner: tuple[float, float], width: float, height: float) -> Rectangle:
    # Grey below the colours: white is a pair that adds nothing, not one that was never explained.
    return Rectangle(corner, width, height, facecolor="#e4e4e4", edgecolor="#999999", linewidth=0.6, zorder=-1)


def _size(squares: tuple[int, int]) -> tuple[float, float]:
    """Inches: squares as large as fit on a page, and large enough for the symbols."""
    side = min(0.2, 16.0 / max(squares))
    return max(5.0, squares[1] * side + 1.5), max(3.5, squares[0] * side + 1.0)
