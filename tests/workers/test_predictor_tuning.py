"""Fine-tuning on any table: what is a sheet, what a transform, what a forest, and that one recipe learns."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from workers.predictors.elements import element_table
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.table import LONGEST, MASK, TASKS, Table
from workers.predictors.tuning import growing
from workers.predictors.tuning.forest import Forest
from workers.predictors.tuning.growing import grow
from workers.predictors.tuning.learner import Start, describe
from workers.predictors.tuning.learning import best_threshold, learn
from workers.predictors.tuning.sheet import Sheet, choose_transform, inner_folds, merge, read_sheet
from workers.predictors.tuning.specialist import Recipe, loss_of, read_out, tune

ELEMENTS = ("H", "Li", "O", "Na", "Cl", "K", "Fe")
QUICK = Recipe(epochs=12, looks=4, peak=5e-3)


@pytest.fixture(scope="module")
def start() -> Start:
    features = element_table(ELEMENTS).astype(np.float32)
    empty = np.zeros((0, LONGEST))
    base = Table(
        ELEMENTS, features, empty.astype(np.int16), empty.astype(np.float32), np.zeros((0, len(TASKS)), np.float32),
        np.zeros(0, np.int8), np.zeros(0, np.str_),
    )  # fmt: skip
    torch.manual_seed(0)
    sizes = {"width": 16, "layers": 1, "heads": 2, "waves": 4}
    network = Network(NetworkConfig(len(ELEMENTS), features.shape[1], len(TASKS), **sizes))
    network.table[1:] = torch.from_numpy((features - features.mean(0)) / (features.std(0) + 1e-6))
    return Start(base, network)


def binaries(rows: int = 160, classes: bool = False) -> Sheet:
    """Sodium and potassium chlorides of any ratio; what is to be learned is the share of potassium."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.05, 0.95, rows)
    formulas = [f"K{share:.4f}Na{1 - share:.4f}Cl1" for share in shares]
    targets = (shares > 0.6).astype(float) if classes else 100 + 50 * shares
    return read_sheet(formulas, targets.tolist(), ELEMENTS, classes)[0]


def test_rows_that_spell_nothing_or_aim_at_nothing_are_left_out() -> None:
    formulas = ["NaCl", "nonsense", "KCl", "FeO", "Li2 O1"]
    sheet, kept = read_sheet(formulas, [1.0, 2.0, float("nan"), float("inf"), 5.0], ELEMENTS, False)
    assert kept.tolist() == [0, 4] and sheet.targets.tolist() == [1.0, 5.0]


def test_an_element_outside_the_vocabulary_is_unknown_but_has_its_share() -> None:
    sheet, _ = read_sheet(["XeO3"], [1.0], ELEMENTS, False)
    assert sorted(zip(sheet.numbers[0].tolist(), sheet.shares[0].tolist(), strict=True)) == [(MASK, 0.25), (3, 0.75)]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(ELEMENTS), st.integers(1, 9), min_size=1, max_size=5), st.integers(2, 5))
def test_spelling_and_scale_change_nothing(amounts: dict[str, int], factor: int) -> None:
    forwards = "".join(f"{symbol}{amount}" for symbol, amount in amounts.items())
    backwards = "".join(f"{symbol}{factor * amount}" for symbol, amount in reversed(amounts.items()))
    sheet, _ = read_sheet([forwards, backwards], [0.0, 1.0], ELEMENTS, False)
    assert sheet.names[0] == sheet.names[1]
    np.testing.assert_array_equal(sheet.numbers[0], sheet.numbers[1])
    np.testing.assert_allclose(sheet.shares[0], sheet.shares[1], rtol=1e-6)


def test_what_is_learned_does_not_hang_on_the_order_of_elements(start: Start) -> None:
    sheet = binaries(20)
    turned = Sheet(sheet.numbers[:, ::-1].copy(), sheet.shares[:, ::-1].copy(), sheet.names, sheet.targets, False)
    np.testing.assert_allclose(read_out(start.trunk, sheet)[0], read_out(start.trunk, turned)[0], atol=1e-5)
    np.testing.assert_allclose(describe(start, sheet), describe(start, turned), atol=1e-3)


def test_duplicates_are_merged_to_the_median_or_the_class_of_most() -> None:
    formulas = ["NaCl", "Na2Cl2", "ClNa", "KCl", "K1Cl1"]
    merged = merge(read_sheet(formulas, [1.0, 5.0, 2.0, 7.0, 8.0], ELEMENTS, False)[0])
    assert sorted(merged.targets.tolist()) == [2.0, 7.5]
    merged = merge(read_sheet(formulas, [1.0, 0.0, 1.0, 1.0, 0.0], ELEMENTS, True)[0])
    assert sorted(merged.targets.tolist()) == [0.0, 1.0]


def test_no_composition_is_in_two_folds_and_classes_are_spread() -> None:
    formulas = [f"Na{n}Cl{m}" for n in range(1, 12) for m in range(1, 12)] * 2
    targets = [float(row % 10 == 0) for row in range(len(formulas))]
    sheet, _ = read_sheet(formulas, targets, ELEMENTS, True)
    folds = inner_folds(sheet, 5, seed=0)
    for name in np.unique(sheet.names):
        assert len(set(folds[sheet.names == name].tolist())) == 1
    assert min(sheet.targets[folds == fold].sum() for fold in range(5)) >= 1
    assert np.array_equal(folds, inner_folds(sheet, 5, seed=0))


@pytest.mark.parametrize(
    ("targets", "logarithmic"), [([1.0, 2.0, 3.0], False), ([1e-3, 1.0, 1e4], True), ([-1, 9, 99], False)]
)
def test_a_transform_comes_back(targets: list[float], logarithmic: bool) -> None:
    sheet, _ = read_sheet(["NaCl", "KCl", "FeO"], targets, ELEMENTS, False)
    transform = choose_transform(sheet)
    assert transform.logarithmic is logarithmic
    np.testing.assert_allclose(transform.backward(transform.forward(sheet.targets)), sheet.targets)
    step = (transform.backward(np.array([0.1 + 1e-6])) - transform.backward(np.array([0.1]))) / 1e-6
    assert transform.slope(np.array([0.1]))[0] == pytest.approx(step[0], rel=1e-3)


def test_a_constant_target_is_refused() -> None:
    with pytest.raises(ValueError, match="constant"):
        choose_transform(read_sheet(["NaCl", "KCl"], [2.0, 2.0], ELEMENTS, False)[0])


@pytest.mark.parametrize("classification", [False, True])
def test_a_forest_of_arrays_answers_as_scikit_learns(classification: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "TREES", 7)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 6)).astype(np.float32)
    targets = inputs[:, 0] * inputs[:, 1] + (inputs[:, 2] > 0)
    targets = (targets > 0.3).astype(float) if classification else targets
    found = Forest.from_arrays(grow(inputs, targets, classification, seed=3).to_arrays())
    settings = {"max_features": 0.3, "min_samples_leaf": 2, "random_state": 3}
    if classification:
        grown = ExtraTreesClassifier(7, class_weight="balanced", **settings).fit(inputs, targets > 0.5)
        wanted = grown.predict_proba(inputs)[:, 1]
    else:
        wanted = ExtraTreesRegressor(7, **settings).fit(inputs, targets).predict(inputs)
    np.testing.assert_allclose(found.predict(inputs)[0], wanted, atol=1e-5)
    assert (found.predict(inputs)[1] >= 0).all()


def test_fine_tuning_keeps_its_best_look(start: Start) -> None:
    sheet = binaries()
    scaled = Sheet(sheet.numbers, sheet.shares, sheet.names, (sheet.targets - 125) / 12, False)
    held = np.arange(len(sheet)) % 5 == 0
    torch.manual_seed(0)
    config = start.trunk.config
    network = Network(NetworkConfig(config.elements, config.features, 1, 16, 1, 2, 2, 4))
    network.table.copy_(start.trunk.table)
    unseen = scaled.take(np.flatnonzero(held))
    before = loss_of(unseen.targets, read_out(network, unseen)[0], False)
    tune(network, start.base, scaled, held, QUICK, seed=0)
    assert loss_of(unseen.targets, read_out(network, unseen)[0], False) < 0.6 * before


def test_one_recipe_learns_numbers_and_tells_how_sure_it_is(start: Start) -> None:
    sheet = binaries()
    test, train = np.arange(len(sheet)) % 4 == 0, np.arange(len(sheet)) % 4 != 0
    learner = learn(start, sheet.take(np.flatnonzero(train)), QUICK, seed=0)
    values, stds = learner.predict(sheet.take(np.flatnonzero(test)))
    errors = np.abs(values - sheet.targets[test])
    assert errors.mean() < 0.3 * np.abs(sheet.targets - np.median(sheet.targets)).mean()
    assert (stds > 0).all()
    assert learner.unseen["blend"] <= min(learner.unseen["networks"], learner.unseen["forests"]) + 1e-9


def test_one_recipe_learns_classes(start: Start) -> None:
    sheet = binaries(classes=True)
    test, train = np.arange(len(sheet)) % 4 == 0, np.arange(len(sheet)) % 4 != 0
    learner = learn(start, sheet.take(np.flatnonzero(train)), QUICK, seed=0)
    chances, stds = learner.predict(sheet.take(np.flatnonzero(test)))
    assert ((chances > 0.5) == (sheet.targets[test] > 0.5)).mean() > 0.9
    assert ((chances >= 0) & (chances <= 1)).all() and (stds <= 0.5).all()


@pytest.mark.parametrize("share", [0.05, 0.01])
def test_a_rare_class_moves_the_threshold(share: float) -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random(4000) < share).astype(float)
    told = rng.normal(targets * 4 - 5, 1.0)
    assert best_threshold(targets, told) == pytest.approx(-3.0, abs=0.5)
