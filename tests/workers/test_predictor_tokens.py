"""Formulas as tokens: one composition, one reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.compositions import parse_formula
from workers.errors import InvalidFormula
from workers.predictors.tokens import Tokenizer, identity, read_amounts, split_of

TOKENIZER = Tokenizer(["H", "Li", "C", "O", "P", "Ca", "Fe", "Te", "Ba"], longest=4)

amounts = st.dictionaries(st.sampled_from(["H", "Li", "O", "Fe", "Ba"]), st.integers(1, 20), min_size=1, max_size=4)


@pytest.mark.parametrize(
    "spellings",
    [("BaTe", "TeBa", "Ba2Te2", "Ba0.5Te0.5"), ("Ca3(PO4)2", "Ca3P2O8", "P2Ca3O8"), ("Fe0.62C0.38", "Fe62C38")],
)
def test_one_composition_has_one_reading_whatever_its_spelling(spellings: tuple[str, ...]) -> None:
    assert len({TOKENIZER.read(spelling) for spelling in spellings}) == 1


@given(amounts)
def test_the_quick_reader_agrees_with_the_careful_one(found: dict[str, int]) -> None:
    formula = parse_formula("".join(f"{symbol}{amount}" for symbol, amount in found.items())).formula
    careful = parse_formula(formula)
    assert read_amounts(formula) == dict(zip(careful.elements, careful.amounts, strict=True))


@given(amounts)
def test_shares_add_up_and_elements_stand_in_the_order_of_the_vocabulary(found: dict[str, int]) -> None:
    tokens = TOKENIZER.read("".join(f"{symbol}{amount}" for symbol, amount in found.items()))
    assert sum(tokens.shares) == pytest.approx(1.0)
    assert tokens.numbers == tuple(sorted(tokens.numbers))


def test_an_element_named_twice_counts_once() -> None:
    assert read_amounts("CH3CH2OH") == {"C": 2.0, "H": 6.0, "O": 1.0}


@pytest.mark.parametrize(
    ("formula", "reason"),
    [("XeO3", "Xe"), ("LiFePO4H", "5 elements"), ("Xx2O", "Xx"), ("Fe0O", "0"), ("", "empty"), ("fe2o3", "formula")],
)
def test_what_the_model_cannot_take_is_refused_with_the_reason(formula: str, reason: str) -> None:
    with pytest.raises(InvalidFormula, match=reason):
        TOKENIZER.read(formula)


@given(amounts, st.integers(1, 7))
def test_the_split_is_of_the_composition_not_of_the_formula(found: dict[str, int], factor: int) -> None:
    larger = {symbol: factor * amount for symbol, amount in reversed(found.items())}
    assert identity(found) == identity(larger)
    assert split_of(identity(found)) in ("train", "val", "test")


def test_the_splits_have_their_sizes() -> None:
    splits = [split_of(f"composition {number}") for number in range(20_000)]
    assert splits.count("test") / len(splits) == pytest.approx(0.10, abs=0.01)
    assert splits.count("val") / len(splits) == pytest.approx(0.05, abs=0.01)
