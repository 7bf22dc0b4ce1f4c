"""Explanations add up to the prediction, and say the same whoever asks beside them."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from workers.cards import load_checkpoint
from workers.errors import InvalidFormula, InvalidQuestion
from workers.explainer import explain
from workers.explanations import Explanation, Index, Question, check_question
from workers.predictors.predictor import PROPERTIES, CompositionPredictor
from workers.predictors.table import MASK
from workers.predictors.tokens import Tokenizer

FORMULAS = ["BaTe", "Si", "CsPbI3", "LiFePO4", "Fe0.62C0.38", "KAl(SO4)2", "LiNaKRbCsClBrI"]
MANY = "LiNaKRbCsMgCaSrBaScYTiZrO"  # 14 elements


class Charges:
    """A predictor by rule: the sum of the known tokens' numbers, and a product for each known pair of amounts."""

    properties = ("charge", "nothing")

    def __init__(self) -> None:
        self.tokenizer = Tokenizer(
            ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Sc", "Y", "Ti", "Zr", "O"), 20
        )
        self.rows: list[int] = []

    def masked_predict(self, numbers: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.rows.append(len(numbers))
        products = (shares.sum(axis=1) ** 2 - (shares**2).sum(axis=1)) / 2
        values = np.stack((numbers.sum(axis=1) + products, np.zeros(len(numbers))), axis=1)
        return values, np.ones_like(values)


@pytest.fixture(scope="module")
def predictor() -> CompositionPredictor:
    return CompositionPredictor(*load_checkpoint("composition-predictor"), device="cpu")


def total(explanation: Explanation) -> float:
    return explanation.baseline + sum(value for _, value in explanation.interactions)


@pytest.mark.parametrize("index", ["k-SII", "SV", "STII", "FSII"])
@pytest.mark.parametrize("property", PROPERTIES)
def test_baseline_and_interactions_add_up_to_the_prediction(
    predictor: CompositionPredictor, property: str, index: Index
) -> None:
    formulas = FORMULAS if index == "k-SII" else FORMULAS[:5]
    found = explain(predictor, formulas, Question(property, index))
    for explanation, prediction in zip(found, predictor.predict(formulas), strict=True):
        assert total(explanation) == pytest.approx(explanation.value, abs=1e-4)
        assert explanation.value == prediction[property][0]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_interactions_of_every_set_of_elements_up_to_the_order(predictor: CompositionPredictor, order: int) -> None:
    (explanation,) = explain(predictor, ["CsPbI3"], Question("band_gap", order=order))
    players = [set(names) for names, _ in explanation.interactions]
    wanted = [{"Cs"}, {"Pb"}, {"I"}, {"Cs", "Pb"}, {"Cs", "I"}, {"Pb", "I"}, {"Cs", "Pb", "I"}][: (3, 6, 7)[order - 1]]
    assert players == wanted
    assert total(explanation) == pytest.approx(explanation.value, abs=1e-4)


def test_an_absent_element_is_the_masked_token_of_pretraining(predictor: CompositionPredictor) -> None:
    tokens = predictor.tokenizer.read("BaTe")
    numbers, shares = np.array([tokens.numbers] * 4), np.full((4, 2), 0.5, dtype=np.float32)
    for row, hidden in enumerate(({"Ba", "Te"}, {"Te"}, {"Ba"}, set())):
        for column, symbol in enumerate(tokens.elements):
            if symbol in hidden:
                numbers[row, column], shares[row, column] = MASK, 0.0
    column = PROPERTIES.index("formation_energy_per_atom")
    nothing, barium, tellurium, both = predictor.masked_predict(numbers, shares)[0][:, column].tolist()
    (explanation,) = explain(predictor, ["BaTe"], Question("formation_energy_per_atom", "SV"))
    found = dict(explanation.interactions)
    assert found["Ba",] == pytest.approx(((barium - nothing) + (both - tellurium)) / 2)
    assert found["Te",] == pytest.approx(((tellurium - nothing) + (both - barium)) / 2)


def test_tokens_come_and_go_apart(predictor: CompositionPredictor) -> None:
    (explanation,) = explain(predictor, ["BaTe"], Question("band_gap", order=4, players="tokens"))
    names = [players[0] for players, _ in explanation.interactions if len(players) == 1]
    assert names == ["Ba", "n(Ba)", "Te", "n(Te)"] and len(explanation.interactions) == 15
    (whole,) = explain(predictor, ["BaTe"], Question("band_gap"))
    assert (explanation.baseline, explanation.value) == (whole.baseline, whole.value)
    assert total(explanation) == pytest.approx(explanation.value, abs=1e-4)


def test_an_explanation_does_not_depend_on_its_neighbours(predictor: CompositionPredictor) -> None:
    question = Question("formation_energy_per_atom")
    together = explain(predictor, FORMULAS[:5], question)
    assert [explain(predictor, [formula], question)[0] for formula in FORMULAS[:5]] == together


def test_the_spelling_of_a_formula_does_not_matter(predictor: CompositionPredictor) -> None:
    ours, theirs = explain(predictor, ["CsPbI3", "I6Pb2Cs2"], Question("band_gap"))
    assert ours.value == theirs.value and ours.baseline == theirs.baseline
    expected = {frozenset(names): pytest.approx(value) for names, value in theirs.interactions}
    assert {frozenset(names): value for names, value in ours.interactions} == expected


def test_all_coalitions_of_all_formulas_are_one_batch_without_repeats() -> None:
    model = Charges()
    explain(model, ["LiO", "NaO", "LiNaO"], Question("charge"))
    # Of 4 + 4 coalitions of two elements the empty ones are the same, and those that know nothing but O1/2.
    assert sorted(model.rows) == [6, 8]


def test_a_dummy_adds_nothing_and_equals_add_alike() -> None:
    (explanation,) = explain(Charges(), ["LiNaO"], Question("charge", players="tokens"))
    found = dict(explanation.interactions)
    assert [found[name,] for name in ("Li", "Na", "O")] == pytest.approx([1.0, 2.0, 14.0])
    assert [found["n(Li)", "n(Na)"], found["n(Na)", "n(O)"]] == pytest.approx([1 / 9, 1 / 9], abs=1e-6)
    mixed = [value for names, value in found.items() if {"Li", "Na", "O"} & set(names) and len(names) == 2]
    assert mixed == pytest.approx([0.0] * len(mixed), abs=1e-6)


@pytest.mark.parametrize("index", ["SV", "k-SII", "STII", "FSII"])
def test_beyond_twelve_players_an_estimate_tells_its_budget_and_error(index: Index) -> None:
    question = Question("charge", index, 1 if index == "SV" else 2, budget=1600)
    (estimate,) = explain(Charges(), [MANY], question)
    assert estimate.budget == 1600 and estimate.errors is not None
    assert len(estimate.errors) == len(estimate.interactions)
    assert total(estimate) == pytest.approx(estimate.value, abs=1e-4)
    (exact,) = explain(Charges(), [MANY], replace(question, budget=2**14))
    assert (exact.budget, exact.errors) == (None, None)
    assert (estimate.baseline, estimate.value) == (exact.baseline, exact.value)
    gaps = [ours - true for (_, ours), (_, true) in zip(estimate.interactions, exact.interactions, strict=True)]
    assert np.abs(gaps).max() < 6 * max(estimate.errors) + 1e-3


def test_an_estimate_depends_on_seed_and_formula_alone() -> None:
    question = Question("charge", budget=1600, seed=3)
    together = explain(Charges(), ["LiO", MANY], question)[1]
    assert asdict(explain(Charges(), [MANY], question)[0]) == asdict(together)
    assert explain(Charges(), [MANY], replace(question, seed=4))[0].interactions != together.interactions


@pytest.mark.parametrize(
    ("question", "word"),
    [
        (Question("colour"), "band_gap"),
        (Question("band_gap", "BII"), "k-SII"),  # type: ignore[arg-type]
        (Question("band_gap", order=5), "1, 2, 3, 4"),
        (Question("band_gap", players="atoms"), "tokens"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_offered_is_refused(predictor: CompositionPredictor, question: Question, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        explain(predictor, ["BaTe"], question)


def test_a_formula_that_the_predictor_does_not_take_is_refused(predictor: CompositionPredictor) -> None:
    with pytest.raises(InvalidFormula, match="Xe"):
        explain(predictor, ["XeF2"], Question("band_gap"))
    assert explain(predictor, [], Question("band_gap")) == []


@pytest.mark.parametrize(
    ("question", "formula", "words"),
    [
        (Question("band_gap", order=3), "BaTe", "order 3: BaTe has 2 players"),
        (Question("band_gap", "SV", 2), "BaTe", "order 2: SV has order 1"),
        (Question("band_gap", order=3, players="tokens", budget=100), "LiNaKRbCsClBrI", "budget 100: .* at least 5568"),
    ],
)
def test_a_question_that_does_not_fit_its_formula_is_one_line(question: Question, formula: str, words: str) -> None:
    with pytest.raises(InvalidQuestion, match=words):
        check_question(question, formula)
