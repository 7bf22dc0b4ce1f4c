"""Figures of a campaign's explanations: images, and a periodic table whose places are right."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from api.figure_files import Plot
from api.figures import plot_explanation, plot_summary
from api.periodic_maps import compact, map_of_pairs
from api.periodic_table import place_of
from workers.errors import UserError
from workers.explanations import Explanation
from workers.summaries import MeanInteraction, Summary, summarise


def summary(*means: tuple[tuple[str, ...], float]) -> Summary:
    interactions = tuple(means)
    [found] = summarise([Explanation("X", "band_gap", "k-SII", 2, 0.0, 1.0, interactions)])
    return found


WIDE = summary(
    (("Cu",), 0.5), (("Zn",), -0.2), (("S",), 0.1), (("La",), 0.3), (("Cu", "S"), -0.7), (("Zn", "S"), 0.0),
    (("La", "S"), 0.4),
)  # fmt: skip


@pytest.mark.parametrize("kind", ["network", "bars", "periodic-table"])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_report_draws_what_is_asked(sluice, screened: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    done = sluice("campaign", "report", 1, "--db", screened, "--plot", f"figure{suffix}", "--figure", kind)
    assert done.status == 0, done.stderr
    data = (tmp_path / f"figure{suffix}").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n" if suffix == ".png" else b"<?xml") and len(data) > 4_000


def test_the_report_tells_the_mean_of_each_pair(sluice, screened: Path) -> None:
    [found] = json.loads(sluice("campaign", "report", 1, "--json", "--db", screened).stdout)["interactions"]
    means = {tuple(entry["elements"]): (entry["mean"], entry["count"]) for entry in found["means"]}
    assert (found["property"], found["index"], found["explained"]) == ("band_gap", "k-SII", 2)
    assert means["Ga", "As"] == means["Cd", "Te"] == (pytest.approx(0.2), 1)
    lines = sluice("campaign", "report", 1, "--db", screened).stdout.splitlines()
    assert any(line.split() == ["Ga", "×", "As", "+0.200", "0.000", "in", "1", "of", "2"] for line in lines)


def test_without_explanations_there_is_no_figure(sluice, tmp_path: Path) -> None:
    from storage.campaigns import NewCampaign, create_campaign
    from storage.engine import open_database, transaction
    from storage.states import StageName

    engine = open_database("none.db")
    with transaction(engine) as session:
        create_campaign(session, NewCampaign("bare", {}, 1, "0.1.0", (StageName.PREDICT,)), now=1.0)
    engine.dispose()
    for number, words in ((1, "has no explanations"), (9, "not found")):
        done = sluice("campaign", "report", number, "--db", "none.db", "--plot", "a.png")
        assert (done.status, len(done.stderr.splitlines())) == (2, 1) and words in done.stderr
    assert not (tmp_path / "a.png").exists()


def test_elements_stand_where_the_periodic_table_has_them() -> None:
    assert [place_of(symbol) for symbol in ("H", "O", "Cu", "La", "Lu", "Hf", "U")] == [
        (1, 1), (2, 16), (4, 11), (8, 3), (8, 17), (6, 4), (9, 6),
    ]  # fmt: skip
    assert compact(["Cu", "Zn", "S", "La"]) == {"Cu": (1, 1), "Zn": (1, 2), "S": (0, 3), "La": (2, 0)}


def test_each_pair_is_in_both_cells() -> None:
    places = {"Cu": (1, 0), "S": (0, 1)}
    grid = map_of_pairs([MeanInteraction(("S", "Cu"), 0.25, 0.0, 1)], places)
    assert grid.shape == (2 * 5, 2 * 3)
    # The cell of Cu begins at (5, 0), that of S at (0, 3); two rows of heading; the partner's own place follows.
    assert grid[5 + 2 + 0, 0 + 1] == grid[0 + 2 + 1, 3 + 0] == 0.25
    assert np.isfinite(grid).sum() == 2


@pytest.mark.parametrize("kind", ["network", "periodic-table"])
def test_pairs_are_needed_for_what_joins_pairs(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match="order 2 is needed"):
        plot_summary(summary((("Cu",), 0.5), (("S",), 0.1)), Plot(tmp_path / "a.png", kind))


@pytest.mark.parametrize("kind", ["network", "bars", "periodic-table"])
def test_one_summary_is_one_file_to_the_byte(tmp_path: Path, kind: str) -> None:
    for name in ("a.svg", "b.svg"):
        plot_summary(WIDE, Plot(tmp_path / name, kind))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("kind", ["network", "bars"])
def test_what_adds_nothing_can_be_drawn(tmp_path: Path, kind: str) -> None:
    nothing = {
        "formula": "FeC", "property": "band_gap", "index": "k-SII", "order": 2, "budget": 900, "errors": [0.0] * 3,
        "interactions": [[["Fe"], 0.0], [["C"], 0.0], [["Fe", "C"], 0.0]],
    }  # fmt: skip
    plot_explanation(nothing, Plot(tmp_path / "a.png", kind))
    assert (tmp_path / "a.png").stat().st_size > 1_000
