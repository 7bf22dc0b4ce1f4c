"""The composition predictor: one formula, one answer, whatever comes with it."""

import random

import numpy as np
import pytest
import torch

from workers.cards import load_checkpoint
from workers.errors import InvalidFormula
from workers.predictors.predictor import PROPERTIES, CompositionPredictor, bounded

FORMULAS = [
    "BaTe", "NaCl", "Fe", "Si", "CsPbI3", "LiFePO4", "Fe0.62C0.38", "Ca3(PO4)2", "Cu2ZnSnS4", "KAl(SO4)2", "TiO2",
    "GaAs", "Cs2AgBiBr6", "Ba2YCu3O7", "MgO", "Al2O3", "ZrCuNiAl", "LiNiMnCoO2", "Rb2SnCl6", "Ag8GeS6",
]  # fmt: skip


@pytest.fixture(scope="module")
def predictor() -> CompositionPredictor:
    return CompositionPredictor(*load_checkpoint("composition-predictor"), device="cpu")


def test_a_formula_alone_and_in_company_gets_the_same_bits(predictor: CompositionPredictor) -> None:
    together = predictor.predict(FORMULAS)
    assert [predictor.predict([formula])[0] for formula in FORMULAS] == together


def test_place_and_number_of_companions_change_no_bit(predictor: CompositionPredictor) -> None:
    many = [*FORMULAS, *(f"Ba{amount}Te7" for amount in range(1, 300)), *(f"K{n}Na5Cl9" for n in range(1, 280))]
    order = random.Random(0).sample(range(len(many)), len(many))
    values, stds = predictor.predict_arrays(many)
    shuffled = predictor.predict_arrays([many[place] for place in order])
    np.testing.assert_array_equal(shuffled[0], values[order])
    np.testing.assert_array_equal(shuffled[1], stds[order])


def test_spelling_changes_no_bit(predictor: CompositionPredictor) -> None:
    spellings = predictor.predict(["CsPbI3", "I3CsPb", "Cs2Pb2I6", "PbCsI3"])
    assert all(prediction == spellings[0] for prediction in spellings)


def test_every_property_has_a_value_in_its_range_and_a_positive_std(predictor: CompositionPredictor) -> None:
    values, stds = predictor.predict_arrays(FORMULAS)
    assert values.shape == stds.shape == (len(FORMULAS), len(PROPERTIES))
    assert np.isfinite(values).all() and (stds > 0).all()
    assert (values[:, PROPERTIES.index("band_gap")] >= 0).all()
    assert (values[:, PROPERTIES.index("e_above_hull")] >= 0).all()


def test_known_chemistry(predictor: CompositionPredictor) -> None:
    found = dict(zip(FORMULAS, predictor.predict(FORMULAS), strict=True))
    assert found["MgO"]["band_gap"][0] > found["GaAs"]["band_gap"][0] > found["Fe"]["band_gap"][0] - 1e-9
    assert found["Al2O3"]["formation_energy_per_atom"][0] < -2.5
    assert found["NaCl"]["formation_energy_per_atom"][0] < found["GaAs"]["formation_energy_per_atom"][0]
    odd = predictor.predict(["NaCl7", "NaCl"])
    assert odd[0]["e_above_hull"][0] > odd[1]["e_above_hull"][0]


def test_what_it_cannot_answer_is_told_before_and_refused(predictor: CompositionPredictor) -> None:
    for formula in ("XeF2", "Fe0O", "LiNaKRbCsBeMgCaSr"):
        assert predictor.unsupported(formula)
        with pytest.raises(InvalidFormula):
            predictor.predict(["NaCl", formula])
    assert [predictor.unsupported(formula) for formula in FORMULAS] == [None] * len(FORMULAS)


def test_nothing_in_nothing_out(predictor: CompositionPredictor) -> None:
    assert predictor.predict([]) == []


def test_hiding_nothing_is_predicting_and_hiding_all_tells_the_number_of_elements(
    predictor: CompositionPredictor,
) -> None:
    tokens = predictor.tokenizer.read("CsPbI3")
    numbers, shares = np.array([tokens.numbers]), np.array([tokens.shares], dtype=np.float32)
    np.testing.assert_array_equal(predictor.masked_predict(numbers, shares)[0], predictor.predict_arrays(["CsPbI3"])[0])
    hidden, _ = predictor.masked_predict(np.zeros((2, 3), dtype=np.int64), np.zeros((2, 3), dtype=np.float32))
    np.testing.assert_array_equal(hidden[0], hidden[1])


def test_energy_above_the_hull_grows_with_doubt_and_with_the_decomposition_energy() -> None:
    stable, unsure, unstable = bounded(
        torch.tensor([[0.0, 0.0, -0.2], [0.0, 0.0, -0.2], [0.0, 0.0, 0.5]]),
        torch.tensor([[1.0, 1.0, 0.05], [1.0, 1.0, 0.5], [1.0, 1.0, 0.05]]),
    )[:, 2].tolist()
    assert 0.0 <= stable < unsure < unstable
    assert unstable == pytest.approx(0.5, abs=1e-6)


def test_the_card_states_the_bar(predictor: CompositionPredictor) -> None:
    for name in ("band_gap", "formation_energy_per_atom"):
        metrics = predictor.card.metrics[name]
        assert isinstance(metrics, dict)
        assert metrics["mae"] <= 0.75 * metrics["random_forest_mae"]
        assert metrics["miscalibration_area"] < 0.15
