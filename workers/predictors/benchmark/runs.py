"""Runs of the benchmark: one task, one test, one variant, one file; what is there already is not run again."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from workers.predictors.benchmark.scores import Scores, score_classes, score_shape, score_stability, score_values
from workers.predictors.benchmark.tasks import Trial, read_trial
from workers.predictors.element_statistics import statistics_features
from workers.predictors.fitting import weights_of
from workers.predictors.network import Network
from workers.predictors.table import TASKS, Table
from workers.predictors.transfer.holdout import scope_of
from workers.predictors.transfer.trunk import new_network
from workers.predictors.tuning.learner import Learner, Start
from workers.predictors.tuning.learning import learn
from workers.predictors.tuning.specialist import Recipe

VARIANTS = {
    "forest": "random forest on Magpie's statistics of elemental properties, with pymatgen's data for matminer's",
    "none": "no transfer: fine-tuned from random weights",
    "masked": "masked pretraining only",
    "aligned": "masked pretraining, then alignment to the teacher",
    "taught": "masked, aligned, and taught many properties at once",
    "full": "the recipe for users' tables: taught, blended with randomised trees, two longer trained copies if large",
}
_STAGE = {"masked": "masked", "aligned": "aligned", "taught": "taught", "full": "taught"}
_TREES = 100


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the data and the trunks lie, and how fine-tuning is done; results lie in `work`/runs."""

    data: Path
    work: Path
    recipe: Recipe
    seed: int


def run(bench: Bench, base: Table, task: str, part: str, variant: str) -> Path:
    """Learn and measure, unless the result is there; returns its file."""
    path = bench.work / "runs" / f"{task}.{part}.{variant}.{bench.seed}.json"
    if path.is_file():
        return path
    torch.set_num_threads(1)
    began = process_time()
    trial = read_trial(bench.data, task, part, base.elements)
    scores, predicted = (
        _forest(trial, base, bench.seed) if variant == "forest" else _learned(bench, base, trial, variant)
    )
    if task == "mp_stability_ed":
        scores |= score_stability(trial.test.targets, predicted)
    seconds = process_time() - began
    subject = {"task": task, "part": part, "variant": variant, "seed": bench.seed}
    size = {"train_rows": len(trial.train), "test_rows": len(trial.test), "seconds": round(seconds, 1)}
    result = {**subject, **size, "scores": scores, "unseen": _unseen(trial, predicted)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def load_trunk(base: Table, work: Path, task: str, variant: str, seed: int) -> Network:
    """A network after a variant's last stage; random weights where nothing is transferred."""
    torch.manual_seed(seed)
    network = new_network(base, len(TASKS))
    if variant in _STAGE:
        snapshot = work / "trunks" / scope_of(task) / f"{_STAGE[variant]}.safetensors"
        found = {name.removeprefix("network."): value for name, value in weights_of(snapshot).items()}
        network.load_state_dict({name: found[name] for name in network.state_dict()})
    return network


def _learned(bench: Bench, base: Table, trial: Trial, variant: str) -> tuple[Scores, np.ndarray]:
    trunk = load_trunk(base, bench.work, trial.task, variant, bench.seed)
    full = variant == "full"
    recipe = replace(bench.recipe, rows=2 * bench.recipe.rows, copies=2) if full else bench.recipe
    learner = learn(Start(base, trunk, trees=full), trial.train, recipe, bench.seed)
    values, stds = learner.predict(trial.test)
    return _scores(trial, learner, values, stds), values


def _scores(trial: Trial, learner: Learner, values: np.ndarray, stds: np.ndarray) -> Scores:
    if trial.test.classification:
        found = score_classes(trial.test.targets, values)
    else:
        found = score_values(trial.test.targets, values, stds)
        raw = replace(learner, recalibration=None).predict(trial.test)[1]
        assert learner.recalibration is not None
        found["miscalibration_area"] = score_shape(trial.test.targets, values, raw, learner.recalibration)
    return (
        found
        | {f"inner_loss_{name}": round(loss, 5) for name, loss in learner.unseen.items()}
        | {"weight_of_networks": learner.weight}
    )


def _unseen(trial: Trial, values: np.ndarray) -> dict[str, float]:
    """The main score of the test rows whose composition is in no training row, apart."""
    rows = np.flatnonzero(~np.isin(trial.test.names, trial.train.names))
    targets = trial.test.targets[rows]
    if not len(rows) or (trial.test.classification and np.ptp(targets) == 0):
        return {"rows": len(rows)}
    if trial.test.classification:
        return {"rows": len(rows)} | score_classes(targets, values[rows])
    return {"rows": len(rows), "mae": round(float(np.abs(values[rows] - targets).mean()), 5)}


def _forest(trial: Trial, base: Table, seed: int) -> tuple[Scores, np.ndarray]:
    """The baseline: classes counted alike, a third of the columns tried at each split."""
    inputs = [
        np.nan_to_num(statistics_features(sheet.numbers, sheet.shares, base.features), posinf=0.0, neginf=0.0)
        for sheet in (trial.train, trial.test)
    ]
    settings = {"max_features": 0.15 if len(trial.train) > 20_000 else 1 / 3, "random_state": seed, "n_jobs": 1}
    if trial.train.classification:
        grown = RandomForestClassifier(_TREES, class_weight="balanced", **settings)
        chances = grown.fit(inputs[0], trial.train.targets > 0.5).predict_proba(inputs[1])[:, 1]
        return score_classes(trial.test.targets, chances), chances
    grown = RandomForestRegressor(_TREES, **settings).fit(inputs[0], trial.train.targets)
    values = grown.predict(inputs[1])
    stds = np.std([tree.predict(inputs[1]) for tree in grown.estimators_], axis=0) + 1e-6
    return score_values(trial.test.targets, values, stds), values
