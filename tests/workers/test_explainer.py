"""Explanations add up to the prediction, and say the same whoever asks beside them."""

import pytest
import torch

from workers.cards import load_checkpoint
from workers.errors import InvalidFormula
from workers.explainer import explain
from workers.explanations import Explanation, Index
from workers.predictors.predictor import PROPERTIES, CompositionPredictor

FORMULAS = ["BaTe", "Si", "CsPbI3", "LiFePO4", "Fe0.62C0.38", "KAl(SO4)2", "LiNaKRbCsClBrI"]


@pytest.fixture(scope="module")
def predictor() -> CompositionPredictor:
    torch.set_num_threads(1)
    return CompositionPredictor(*load_checkpoint("composition-predictor"), device="cpu")


def total(explanation: Explanation) -> float:
    return explanation.baseline + sum(value for _, value in explanation.interactions)


@pytest.mark.parametrize("index", ["k-SII", "SV", "STII", "FSII"])
@pytest.mark.parametrize("property", PROPERTIES)
def test_baseline_and_interactions_add_up_to_the_prediction(
    predictor: CompositionPredictor, property: str, index: Index
) -> None:
    predictions = predictor.predict(FORMULAS)
    for explanation, prediction in zip(explain(predictor, FORMULAS, property, index), predictions, strict=True):
        assert total(explanation) == pytest.approx(explanation.value, abs=1e-4)
        assert explanation.value == prediction[property][0]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_interactions_of_every_set_of_elements_up_to_the_order(predictor: CompositionPredictor, order: int) -> None:
    (explanation,) = explain(predictor, ["CsPbI3"], "band_gap", order=order)
    players = [set(names) for names, _ in explanation.interactions]
    wanted = [{"Cs"}, {"Pb"}, {"I"}, {"Cs", "Pb"}, {"Cs", "I"}, {"Pb", "I"}, {"Cs", "Pb", "I"}][: (3, 6, 7)[order - 1]]
    assert players == wanted
    assert total(explanation) == pytest.approx(explanation.value, abs=1e-4)


def test_a_shapley_value_is_the_mean_contribution_over_both_orders(predictor: CompositionPredictor) -> None:
    values, _ = predictor.masked_predict(
        [("BaTe", frozenset(hidden)) for hidden in ({"Ba", "Te"}, {"Te"}, {"Ba"}, set())]
    )
    nothing, barium, tellurium, both = values[:, PROPERTIES.index("formation_energy_per_atom")].tolist()
    (explanation,) = explain(predictor, ["BaTe"], "formation_energy_per_atom", "SV")
    found = dict(explanation.interactions)
    assert found["Ba",] == pytest.approx(((barium - nothing) + (both - tellurium)) / 2)
    assert found["Te",] == pytest.approx(((tellurium - nothing) + (both - barium)) / 2)


def test_an_explanation_does_not_depend_on_its_neighbours(predictor: CompositionPredictor) -> None:
    together = explain(predictor, FORMULAS, "formation_energy_per_atom")
    alone = [explain(predictor, [formula], "formation_energy_per_atom")[0] for formula in FORMULAS]
    assert alone == together


def test_the_spelling_of_a_formula_does_not_matter(predictor: CompositionPredictor) -> None:
    ours, theirs = explain(predictor, ["CsPbI3", "I6Pb2Cs2"], "band_gap")
    assert ours.value == theirs.value and ours.baseline == theirs.baseline
    expected = {frozenset(names): pytest.approx(value) for names, value in theirs.interactions}
    assert {frozenset(names): value for names, value in ours.interactions} == expected


def test_what_cannot_be_explained_is_refused(predictor: CompositionPredictor) -> None:
    with pytest.raises(ValueError, match="band_gap"):
        explain(predictor, ["BaTe"], "colour")
    with pytest.raises(ValueError, match="k-SII"):
        explain(predictor, ["BaTe"], "band_gap", "BII")  # type: ignore[arg-type]
    with pytest.raises(InvalidFormula, match="Xe"):
        explain(predictor, ["XeF2"], "band_gap")
    assert explain(predictor, [], "band_gap") == []
