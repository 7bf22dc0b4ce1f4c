"""The benchmark: official tests, scores by their names, results that are not made twice."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from workers.predictors.benchmark import runs
from workers.predictors.benchmark.report import gather, to_markdown
from workers.predictors.benchmark.scores import score_classes, score_stability, score_values
from workers.predictors.benchmark.tasks import parts_of, read_trial
from workers.predictors.elements import element_table
from workers.predictors.table import LONGEST, TASKS, Table
from workers.predictors.transfer.holdout import SOURCES
from workers.predictors.tuning.specialist import Recipe
from workers.training.benchmark import main

ELEMENTS = ("O", "Na", "Cl", "K", "Fe")


@pytest.fixture
def base() -> Table:
    empty = np.zeros((0, LONGEST), np.float32)
    arrays = empty.astype(np.int16), empty, np.zeros((0, len(TASKS)), np.float32), np.zeros(0, np.int8)
    return Table(ELEMENTS, element_table(ELEMENTS).astype(np.float32), *arrays, np.zeros(0, np.str_))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    formulas = [f"Na{n}Cl{m}" for n in range(1, 11) for m in range(1, 11)]
    columns = {
        "composition": formulas,
        "target": [n / (n + m) for n in range(1, 11) for m in range(1, 11)],
        "fold": [row % 5 for row in range(100)],
    }
    pq.write_table(pa.table(columns), tmp_path / "matbench_steels.parquet")
    return tmp_path


def test_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random(500) < 0.3).astype(float)
    chances = np.round(np.clip(0.4 * targets + rng.random(500) * 0.6, 0, 1), 2)  # with ties
    found = score_classes(targets, chances)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, chances > 0.5), abs=1e-5)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(targets, chances), abs=1e-5)
    assert found["f1"] == pytest.approx(f1_score(targets, chances > 0.5), abs=1e-5)
    assert score_values(np.zeros(4), np.array([1.0, -2.0, 3.0, 0.0]), np.arange(1.0, 5.0))["mae"] == 1.5


def test_calling_a_composition_stable_is_scored_at_zero() -> None:
    found = score_stability(np.array([-0.1, 0.0, 0.2, 0.3]), np.array([-0.2, 0.1, -0.1, 0.4]))
    assert found["stable_precision"] == found["stable_recall"] == found["stable_f1"] == found["stable_accuracy"] == 0.5


def test_tests_are_the_published_folds_and_splits(data: Path) -> None:
    assert parts_of("steels") == ("0", "1", "2", "3", "4") and parts_of("mp_gap") == ("0",)
    assert parts_of("mp_stability_ef") == ("test",)
    trials = [read_trial(data, "steels", part, ELEMENTS) for part in parts_of("steels")]
    assert [len(trial.test) for trial in trials] == [20] * 5 and [len(trial.train) for trial in trials] == [80] * 5
    assert trials[1].test.targets[0] == pytest.approx(1 / 3)


def test_a_result_is_made_once_and_says_what_it_is(data: Path, base: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_TREES", 5)
    bench = runs.Bench(data, data / "work", Recipe(), seed=0)
    path = runs.run(bench, base, "steels", "1", "forest")
    result = json.loads(path.read_text())
    assert (result["task"], result["part"], result["variant"]) == ("steels", "1", "forest")
    assert 0 < result["scores"]["mae"] < 0.2 and result["unseen"]["rows"] <= 20
    path.write_text(json.dumps({**result, "kept": True}))
    assert "kept" in json.loads(runs.run(bench, base, "steels", "1", "forest").read_text())


def test_a_network_from_random_weights_needs_no_trunk(data: Path, base: Table) -> None:
    bench = runs.Bench(data, data / "work", Recipe(epochs=2, looks=1), seed=0)
    scores = json.loads(runs.run(bench, base, "steels", "0", "none").read_text())["scores"]
    assert {"mae", "miscalibration_area", "spearman_error_std", "weight_of_networks"} <= set(scores)
    assert scores["weight_of_networks"] == 1.0


def test_the_table_tells_means_what_is_missing_and_what_alignment_gained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    for variant, errors in {"masked": [100.0, 90.0], "aligned": [90.0, 81.0]}.items():
        for part, error in enumerate(errors):
            result = {"task": "steels", "part": str(part), "variant": variant, "seconds": 60.0}
            body = {**result, "scores": {"mae": error}, "unseen": {"rows": 3, "mae": error + 1}}
            (folder / f"steels.{part}.{variant}.0.json").write_text(json.dumps(body))
    found = gather(tmp_path)
    assert found["tasks"]["steels"]["masked"]["mean"] == 95.0
    assert found["tasks"]["steels"]["aligned"]["unseen_compositions"] == 86.5
    assert found["alignment"]["mae"] == {"steels": 0.1} and found["alignment"]["mean_mae"] == pytest.approx(0.1)
    assert "95 (2 of 5)" in to_markdown(found)
    assert main(["table", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "table.md").read_text() in capsys.readouterr().out
    assert set(found["tasks"]) == set(SOURCES)
