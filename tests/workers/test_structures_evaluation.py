"""The comparison of compositions and structures: which materials it takes, what it makes of them, and what it tells."""

import json
from collections.abc import Sequence
from math import inf, nan
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Element, Lattice, Structure

from workers.cards import Card
from workers.crystals import Crystal, from_structure
from workers.errors import UserError
from workers.generator.evaluation.combined import Weighing
from workers.generator.evaluation.desk import Desk, Json
from workers.generator.evaluation.materials import materials
from workers.generator.evaluation.structures import Comparison, structures
from workers.generator.evaluation.tally import BOTH, COMPOSITION, Survey, tally
from workers.generator.requests import CrystalRequest, Generated
from workers.judge_heads import PREDICTED
from workers.training.evaluate import main

# Formulas of the composition predictor's test split and val split, and one that it has learnt.
TESTED, CALIBRATED, LEARNT = ("LiCl", 5.1), ("CaSe", 5.9), ("NaCl", 5.6)
UNKNOWN = ("MgTe", 5.9)


def rocksalt(formula: str, edge: float) -> Crystal:
    sites = [Element(symbol) for symbol in (formula[:2], formula[2:])]
    cell = Structure.from_spacegroup(225, Lattice.cubic(edge), sites, [[0] * 3, [0.5] * 3])
    return from_structure(cell.get_primitive_structure())


def row(formula: str, edge: float, split: str, **labels: float | None) -> dict[str, object]:
    crystal = rocksalt(formula, edge)
    known: dict[str, float | None] = {"band_gap": 3.0, "formation_energy_per_atom": -2.0, "e_above_hull": 0.0}
    return {
        "material_id": f"mp-{formula}-{split}",
        "formula": formula,
        "split": split,
        "lattice": list(crystal.lattice),
        "species": [Element(symbol).Z for symbol in crystal.species],
        "frac_coords": [x for coords in crystal.coords for x in coords],
        **(known | labels),
    }


class Answering:
    """Makes the rock salt of a formula with the edge that it is told; nothing of others."""

    card = Card("fake", "crystal-generator", "0", {}, 1)

    def __init__(self, **edges: float) -> None:
        self.edges, self.asked = edges, 0

    def generate(self, requests: Sequence[CrystalRequest]) -> list[Generated]:
        self.asked += len(requests)
        return [self._answer(str(request.formula)) for request in requests]

    def _answer(self, formula: str) -> Generated:
        if formula not in self.edges:
            return Generated(None, -inf, "no cell")
        return Generated(rocksalt(formula, self.edges[formula]), -2.0, None, -1.0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [row(*TESTED, "test"), row(*UNKNOWN, "test", e_above_hull=None), row(*LEARNT, "test")]
    rows += [row(*CALIBRATED, "val"), row(*TESTED, "val"), row(*LEARNT, "val")]
    rows += [row(*TESTED, "train"), row("RbBr", 6.9, "train", formation_energy_per_atom=-2.1)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mp20.parquet")
    earlier = {"material_id": "mp-RbBr-train", "mp20_split": "train", "e_form_mp2018": -1.9}
    pq.write_table(pa.Table.from_pylist([earlier]), tmp_path / "mp2025_structures.parquet")
    return tmp_path


def compared(data: Path, desk: Desk, **edges: float) -> Json:
    return structures(Answering(**edges), data, Comparison(samples=2, steps=1), desk, "cpu")


def test_only_what_no_model_has_learnt_is_taken(data: Path) -> None:
    test, val = materials(data, "test", 0), materials(data, "val", 0)
    assert {m.target.formula for m in test} == {TESTED[0], UNKNOWN[0]}
    assert [m.target.formula for m in val] == [CALIBRATED[0]]  # test has the other's formula
    assert {m.target.formula: m.trained for m in test} == {TESTED[0]: True, UNKNOWN[0]: False}
    assert [len(materials(data, "test", count)) for count in (1, 2)] == [1, 2]


def test_materials_are_predicted_in_every_way(data: Path, tmp_path: Path) -> None:
    edges = {"LiCl": 5.4, "MgTe": 5.9, "CaSe": 5.9}
    figures = compared(data, Desk(tmp_path / "x", processes=1), **edges)
    errors = figures["errors"]
    assert (figures["materials"], figures["fitted"], figures["left_out"]) == (2, 1, {})
    assert errors["band_gap"]["n"] == 2 and errors["e_above_hull"]["n"] == 1  # the other's is not published
    ways = {COMPOSITION, "generated", "relaxed", "known", *BOTH}
    assert figures["constant"] == {"band_gap": 0.0, "formation_energy_per_atom": 0.0, "e_above_hull": 0.0}  # all alike
    assert all(set(errors[name]) == {"n", *ways} for name in PREDICTED)
    assert set(figures["weights"]) == set(BOTH) and set(figures["weights"][next(iter(BOTH))]) == set(PREDICTED)
    # Relaxation moves a cell that is too wide towards the known one, and with it the answer.
    energy = json.loads((tmp_path / "x.test-judged.jsonl").read_text().splitlines()[1 + _place(data, "LiCl")])
    generated, relaxed, known = (energy[way][1][0] for way in ("generated", "relaxed", "known"))
    assert abs(relaxed - known) < abs(generated - known)


def _place(data: Path, formula: str) -> int:
    return [material.target.formula for material in materials(data, "test", 0)].index(formula)


def test_what_cannot_be_predicted_is_told_and_the_rest_goes_on(data: Path, tmp_path: Path) -> None:
    figures = compared(data, Desk(tmp_path / "x", processes=1), LiCl=5.1, CaSe=5.9)
    assert figures["materials"] == 1 and figures["left_out"] == {"MgTe": "no cell"}
    isolated = compared(data, Desk(tmp_path / "y", processes=1), LiCl=5.1, MgTe=13.5, CaSe=5.9)
    assert "no neighbour" in isolated["left_out"]["MgTe"]
    with pytest.raises(UserError, match="'val': 1 materials, none of which can be predicted in every way"):
        compared(data, Desk(tmp_path / "z", processes=1), LiCl=5.1)


def test_what_was_done_is_not_done_again(data: Path, tmp_path: Path) -> None:
    edges = {"LiCl": 5.1, "MgTe": 5.9, "CaSe": 5.9}
    first = compared(data, Desk(tmp_path / "x", processes=1), **edges)
    path = tmp_path / "x.test-judged.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-20])  # killed while it wrote
    again = Answering()
    asked = Comparison(samples=2, steps=1)
    assert structures(again, data, asked, Desk(tmp_path / "x", resume=True, processes=1), "cpu") == first
    assert again.asked == 0 and path.read_text() == whole


def survey() -> Survey:
    """Forty materials: structures are right where they are the known ones."""
    truth = np.zeros((40, len(PREDICTED)))
    truth[:5, 2] = nan
    far = np.stack([np.full((40, 3), 0.5), np.full((40, 3), 0.3)], axis=2)
    near = far.copy()
    near[20:, :, 0] = 0.1
    kinds = {
        "generated structure": np.array(["another"] * 20 + ["the known one"] * 20),
        "few": np.array(["no"] * 35 + ["yes"] * 5),
    }
    return Survey(truth, {COMPOSITION: far, "generated": near, "relaxed": near, "known": near * 0}, kinds)


def test_errors_are_told_for_all_and_where_they_differ() -> None:
    even = {way: dict.fromkeys(PREDICTED, Weighing()) for way in BOTH}
    found = tally(survey(), even)
    all_, where = found["errors"], found["where"]["generated structure"]
    assert all_["band_gap"]["generated"]["mean"] == pytest.approx(0.3)
    assert all_["band_gap"]["generated"]["gain"] == {"mean": -0.2, "error": pytest.approx(0.2 / 39**0.5, abs=1e-5)}
    assert all_["band_gap"]["composition and relaxed"]["mean"] == pytest.approx(0.4)  # as sure of either
    assert all_["e_above_hull"]["n"] == 35 and where["another"]["e_above_hull"]["n"] == 15
    assert where["another"]["band_gap"]["generated"]["gain"]["mean"] == 0.0
    assert where["the known one"]["band_gap"]["generated"]["gain"]["mean"] == pytest.approx(-0.4)
    assert found["within_std"]["band_gap"] == {
        COMPOSITION: 0.0,
        "generated": 0.5,
        "relaxed": 0.5,
        "known": 1.0,
        **dict.fromkeys(BOTH, pytest.approx(0.0, abs=0.5)),
    }
    assert list(found["where"]["few"]) == ["no"]  # five are too few to be told apart


def test_the_command_tells_mistakes_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["structures", "--data", str(tmp_path), "--model", "crystal-generator"]) == 2
    assert "mp20.parquet: cannot be read; a folder with the published tables is expected" in capsys.readouterr().err
    contradiction = ["csp", "--data", str(tmp_path), "--model", "crystal-generator", "--no-energies", "--settle", "9"]
    assert main(contradiction) == 2
    assert capsys.readouterr().err.startswith("--settle: what is relaxed is ranked by energies")
