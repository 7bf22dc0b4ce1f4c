"""Predictors that users train: learned, kept, loaded again, and the same whatever is asked beside."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.cards import load_checkpoint, save_checkpoint
from workers.learned_cards import name_array, renamed
from workers.learned_models import LearnedModel
from workers.models import Refused, load_model
from workers.predictors.elements import element_table
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.table import LONGEST, TASKS, Table
from workers.predictors.tuning import growing
from workers.predictors.tuning.checkpoint import restore, start_from, to_arrays, to_config
from workers.predictors.tuning.learner import Learner, Start, Trials
from workers.predictors.tuning.learning import learn
from workers.predictors.tuning.making import Wanted, make
from workers.predictors.tuning.sheet import read_sheet
from workers.predictors.tuning.specialist import Recipe
from workers.predictors.tuning.trials import certainty_of, judge, score
from workers.predictors.tuning.user_table import Asked, read_table
from workers.probabilities import chance_columns, distributions, parse_screen_filter

ELEMENTS = ("H", "Li", "O", "Na", "Cl", "K", "Fe")
QUICK = Recipe(epochs=4, looks=2, peak=5e-3)


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "TREES", 8)
        yield


@pytest.fixture(scope="module")
def start() -> Start:
    features = element_table(ELEMENTS).astype(np.float32)
    empty = np.zeros((0, LONGEST))
    base = Table(
        ELEMENTS, features, empty.astype(np.int16), empty.astype(np.float32), np.zeros((0, len(TASKS)), np.float32),
        np.zeros(0, np.int8), np.zeros(0, np.str_),
    )  # fmt: skip
    torch.manual_seed(0)
    network = Network(NetworkConfig(len(ELEMENTS), features.shape[1], len(TASKS), width=16, layers=1, heads=2, waves=4))
    network.table[1:] = torch.from_numpy((features - features.mean(0)) / (features.std(0) + 1e-6))
    return Start(base, network)


def formulas(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.05, 0.95, count)
    extra = ["", "Li0.2", "Li0.1Fe0.1"]
    return [f"K{share:.4f}Na{1 - share:.4f}Cl1{extra[place % 3]}" for place, share in enumerate(shares.tolist())]


def target(formula: str, classification: bool) -> float:
    share = float(formula[1:].split("Na")[0])
    return float(share > 0.6) if classification else 100 + 50 * share


@pytest.fixture(scope="module", params=[False, True], ids=["numbers", "classes"])
def learned(
    request: pytest.FixtureRequest, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, bool]:
    folder, classification = tmp_path_factory.mktemp("learned"), request.param
    lines = [f"{formula},{target(formula, classification)}" for formula in formulas(120)]
    (folder / "mine.csv").write_text("\n".join(["f,t", *lines]), encoding="utf-8")
    table = read_table(Asked(folder / "mine.csv", "f", "t", classification), start.base.elements)
    wanted = Wanted("hardness", "" if classification else "GPa", 0, "a test")
    make(start, table, wanted, QUICK, folder / "checkpoint", lambda done, parts: None)
    return folder / "checkpoint", classification


def test_a_table_becomes_a_model_that_knows_its_property(learned: tuple[Path, bool]) -> None:
    folder, classification = learned
    model, asked = load_model(str(folder), "cpu"), formulas(120)
    assert isinstance(model, LearnedModel)
    answers = model.predict(asked)
    values = np.array([answer["hardness"][0] for answer in answers])  # type: ignore[index]
    stds = np.array([answer["hardness"][1] for answer in answers])  # type: ignore[index]
    truths = np.array([target(formula, classification) for formula in asked])
    assert (stds > 0).all()
    if classification:
        assert ((values > 0.5) == (truths > 0.5)).mean() > 0.85
    else:
        assert np.abs(values - truths).mean() < 0.5 * np.abs(truths - np.median(truths)).mean()


def test_the_card_says_what_was_learned_and_how_well(learned: tuple[Path, bool]) -> None:
    folder, classification = learned
    card, _ = load_checkpoint(folder)
    assert (card.name, card.properties, card.kind) == ("hardness", ("hardness",), "learned-table")
    assert "mine.csv: t by f, 120 rows" in card.data
    names = {"balanced_accuracy", "roc_auc"} if classification else {"mae", "rmse", "spearman"}
    assert names <= set(card.metrics)
    if not classification:
        assert 0 < card.metrics["mae"] < card.metrics["mae_of_the_median"]  # type: ignore[operator]


def test_company_and_order_change_no_answer(learned: tuple[Path, bool]) -> None:
    model = load_model(str(learned[0]), "cpu")
    assert isinstance(model, LearnedModel)
    asked = formulas(100)
    together = model.predict(asked)
    assert model.predict(asked[::-1]) == together[::-1]
    assert [model.predict([formula])[0] for formula in asked[:7]] == together[:7]


def test_what_is_outside_the_vocabulary_is_refused_with_a_reason(learned: tuple[Path, bool]) -> None:
    model = load_model(str(learned[0]), "cpu")
    assert isinstance(model, LearnedModel)
    first, second, third = model.predict(["XeF2", "KCl", "K("])
    assert isinstance(first, Refused) and "Xe" in first.reason
    assert isinstance(second, dict) and isinstance(third, Refused)


@pytest.mark.parametrize("classification", [False, True])
def test_what_is_loaded_answers_to_the_bit_as_what_was_saved(
    start: Start, tmp_path: Path, classification: bool
) -> None:
    asked = formulas(80)
    sheet, _ = read_sheet(asked, [target(formula, classification) for formula in asked], ELEMENTS, classification)
    learner = learn(start, sheet, QUICK, seed=3)
    save_checkpoint(tmp_path, to_arrays(learner), name="x", kind="learned-table", config=to_config(learner), tile=8)
    card, arrays = load_checkpoint(tmp_path)
    found: Learner = restore(card.config, arrays)
    for mine, theirs in zip(learner.predict(sheet), found.predict(sheet), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_loading_needs_no_scikit_learn() -> None:
    code = "import sys, workers.learned_models; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_shipped_predictor_is_a_start() -> None:
    card, arrays = load_checkpoint("composition-predictor")
    found = start_from(card, arrays)
    assert found.base.elements == tuple(card.config["elements"])  # type: ignore[arg-type]
    assert found.base.features.shape == (len(found.base.elements), found.trunk.config.features)


def test_another_name_is_another_model_with_the_same_answers(learned: tuple[Path, bool], tmp_path: Path) -> None:
    card, arrays = load_checkpoint(learned[0])
    other = renamed(tmp_path, card, arrays, "toughness")
    assert other.model_id != card.model_id and other.properties == ("toughness",)
    first, second = (load_model(str(folder), "cpu").predict(["KCl"])[0] for folder in (learned[0], tmp_path))  # type: ignore[attr-defined]
    assert first["hardness"] == second["toughness"]
    assert bytes(name_array("toughness")["property"]) == b"toughness"


def test_a_probability_follows_the_value(learned: tuple[Path, bool]) -> None:
    folder, classification = learned
    card, _ = load_checkpoint(folder)
    model = load_model(str(folder), "cpu")
    assert isinstance(model, LearnedModel)
    answers = model.predict(formulas(120))
    columns = {
        name: np.array([answer["hardness"][place] for answer in answers])  # type: ignore[index]
        for place, name in enumerate(("hardness", "hardness_std"))
    }
    bound = 1 if classification else 125
    tree = parse_screen_filter(f"P(hardness >= {bound}) >= 0.5")
    (chances,) = chance_columns(tree, columns, distributions([card])).values()
    assert ((chances >= 0) & (chances <= 1)).all()
    high = columns["hardness"] > np.median(columns["hardness"])
    assert chances[high].mean() > chances[~high].mean() + 0.3


def test_honest_doubt_is_told_from_hopeful_doubt() -> None:
    rng = np.random.default_rng(0)
    stds = rng.uniform(0.5, 2.0, 4000)
    truths = rng.normal(0.0, 1.0, 4000)
    trials = Trials(truths, truths + rng.laplace(0.0, stds), 0.2 * stds)
    # Too small by one factor everywhere, which the other half of the rows has taught.
    assert judge(trials, classification=False).area < 0.03
    assert score(trials, classification=False)["spearman_error_std"] > 0.2  # type: ignore[operator]
    # Half of the rows teaches nothing of the other half.
    errors = rng.laplace(0.0, 1.0, 4000) * (np.argsort(np.argsort(truths)) % 2)
    assert judge(Trials(truths, truths + errors, 0.2 * stds), classification=False).area > 0.1


def test_scores_become_probabilities() -> None:
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.01, 0.3, 4000)  # a rare class
    truths = (rng.random(4000) < chances).astype(float)
    logits = np.log(chances / (1 - chances))
    scores = 1 / (1 + np.exp(-(2 * logits + 4)))
    found = certainty_of(Trials(truths, scores, scores)).probability(scores)
    assert np.abs(found - chances).mean() < 0.03
    assert judge(Trials(truths, scores, scores), classification=True).area < 0.05
