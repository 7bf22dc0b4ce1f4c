"""The structure predictor's recipe from published tables to a checkpoint, on tables small enough for a test."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workers import judge_training
from workers.cards import load_checkpoint
from workers.judge_heads import Judge
from workers.judge_networks import Recipe
from workers.judge_scores import SPLITS, Arrays, measure, rows_of
from workers.judge_tables import TABLE, prepare
from workers.known_phases import fit_shifts, read_phases, shift

SALTS = ("NaCl", "KCl", "LiF", "MgO", "CaO", "NaBr", "KBr", "LiBr") * 3
NUMBERS = ((11, 17), (19, 17), (3, 9), (12, 8), (20, 8), (11, 35), (19, 35), (3, 35)) * 3
OUTSIDE = ("RbCl", (37, 17))  # among the tenth of new formulas that is held out
BROMIDE = 0.25  # eV an atom by which the earlier energy scale is off


def _structures(rows: int) -> dict[str, pa.Array]:
    salts = [*zip(SALTS, NUMBERS, strict=True)][:23] + [OUTSIDE]
    return {
        "material_id": pa.array([f"mp-{i}" for i in range(rows)]),
        "formula": pa.array([formula for formula, _ in salts[:rows]]),
        "nsites": pa.array([2] * rows, pa.int16()),
        "species": pa.array([numbers for _, numbers in salts[:rows]], pa.list_(pa.int8())),
        "lattice": pa.array([[3.8, 3.8, 3.8, 60, 60, 60]] * rows, pa.list_(pa.float32())),
        "frac_coords": pa.array([[0, 0, 0, 0.5, 0.5, 0.5]] * rows, pa.list_(pa.float32())),
    }


def _split(i: int) -> str:
    return "test" if i % 8 == 3 else "val" if i % 8 == 4 else "train"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MP-20, the later structures and the stability table, in miniature."""
    folder = tmp_path_factory.mktemp("data")
    labels = {
        "formation_energy_per_atom": pa.array([-1.0 - 0.1 * (i % 8) for i in range(16)]),
        "band_gap": pa.array([float(i % 5) for i in range(16)]),
        "e_above_hull": pa.array([0.01 if i % 8 in (1, 3, 4) else None for i in range(16)], pa.float64()),
        "split": pa.array([_split(i) for i in range(16)]).dictionary_encode(),
        "coords_source": pa.array(["none" if i == 15 else "exact" for i in range(16)]).dictionary_encode(),
    }
    pq.write_table(pa.table(_structures(16) | labels), folder / "mp20.parquet")
    earlier = [-1.0 - 0.1 * (i % 8) - BROMIDE * (35 in NUMBERS[i]) / 2 for i in range(24)]
    later = {
        "e_form_mp2018": pa.array(earlier),
        "band_gap_mp2018": pa.array([1.0] * 24),
        "mp20_split": pa.array([_split(i) if i < 16 else None for i in range(24)]).dictionary_encode(),
    }
    pq.write_table(pa.table(_structures(24) | later), folder / "mp2025_structures.parquet")
    stable = {
        "reduced_formula": ["NaCl", "CsBr", "KF"],
        "formation_energy_per_atom": [-9.0, -2.0, -3.0],
        "decomposition_energy_per_atom": [-0.1, -0.2, 0.1],
    }
    pq.write_table(pa.table(stable), folder / "mp_stability.parquet")
    return folder


@pytest.fixture(scope="module")
def table(data: Path) -> Arrays:
    prepare(data, data / "work")
    return dict(np.load(data / "work" / TABLE))


def test_the_earlier_energy_scale_is_moved_by_element(data: Path) -> None:
    shifts = fit_shifts(data)
    assert shift("NaBr", shifts) == pytest.approx(BROMIDE / 2, abs=0.02)
    assert shift("MgO", shifts) == pytest.approx(0.0, abs=0.02)


def test_known_phases_are_the_published_ones_and_the_stable_ones_moved(data: Path) -> None:
    phases = read_phases(data)
    assert phases["NaCl"] == pytest.approx(-1.0)  # MP-20's own energy comes first
    assert phases["CsBr"] == pytest.approx(-2.0 + BROMIDE / 2, abs=0.05) and "KF" not in phases


def test_held_out_formulas_and_rows_without_coordinates_stay_out(table: Arrays) -> None:
    counts = dict(zip(SPLITS, np.bincount(table["split"], minlength=len(SPLITS)).tolist(), strict=True))
    assert counts == {"train": 11, "val": 2, "test": 2, "polymorph": 5, "polymorph_test": 1}
    assert len(table["features"]) == 21 and np.isfinite(table["features"]).all()


def test_energies_above_the_hull_are_the_published_ones_where_known(table: Arrays) -> None:
    published = table["published"]
    assert (table["e_above_hull"][published] == 0.01).all() and np.isfinite(table["e_above_hull"]).all()
    assert (table["e_above_hull"] >= 0).all() and not published[rows_of(table, "polymorph")].any()
    assert np.isfinite(table["others_untested"][rows_of(table, "test")]).all()


def test_prepared_chunks_are_not_computed_again(data: Path, table: Arrays, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(data, data / "work")
    assert capsys.readouterr().out == ""
    again = dict(np.load(data / "work" / TABLE))
    assert all(np.array_equal(table[name], again[name], equal_nan=True) for name in table)


def test_training_writes_a_checkpoint_that_evaluate_measures(
    data: Path, table: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Recipe(width=8, epochs=2, batch=4)
    monkeypatch.setattr(judge_training, "RECIPE", tiny)
    judge_training.train(data / "work", "cpu", 1.0, False, 0, tmp_path)
    judge_training.evaluate(data, data / "work", "cpu", 0, tmp_path)
    card, arrays = load_checkpoint(tmp_path)
    assert card.metrics == measure(Judge(arrays, "cpu"), table)
    first = (tmp_path / "weights.safetensors").read_bytes()
    judge_training.train(data / "work", "cpu", 0.0, True, 0, tmp_path)
    assert len(load_checkpoint(tmp_path)[1]["heads.weight0"]) == 1, "no time: one member, taken from the last training"
    judge_training.train(data / "work", "cpu", 1.0, True, 0, tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == first
