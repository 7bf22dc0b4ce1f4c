from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition as PymatgenComposition
from pymatgen.core import Element

from workers.compositions import INERT, MAX_LENGTH, SUPPORTED, from_amounts, parse_formula
from workers.errors import InvalidFormula, UserError

REACTIVE = [symbol for symbol in SUPPORTED if symbol not in INERT]
amounts = st.dictionaries(st.sampled_from(REACTIVE), st.integers(1, 12), min_size=1, max_size=5)


@given(amounts)
def test_every_spelling_of_a_composition_has_one_formula(by_element: dict[str, int]) -> None:
    formulas = set()
    for order in list(permutations(by_element))[:6]:
        text = " ".join(f"{symbol}{by_element[symbol]}" for symbol in order)
        formulas.add(parse_formula(text).formula)
        formulas.add(parse_formula("".join(f"{symbol}{2 * by_element[symbol]}" for symbol in order)).formula)
    assert formulas == {PymatgenComposition(by_element).reduced_formula}


@given(amounts)
def test_a_canonical_formula_is_its_own_canonical_formula(by_element: dict[str, int]) -> None:
    once = from_amounts(by_element)
    assert parse_formula(once.formula) == once


@given(amounts)
def test_amounts_stand_in_the_order_of_the_formula_and_keep_their_ratios(by_element: dict[str, int]) -> None:
    composition = from_amounts(by_element)
    factors = {by_element[e] / a for e, a in zip(composition.elements, composition.amounts, strict=True)}
    assert max(factors) == pytest.approx(min(factors))
    assert composition.integral
    assert composition.atoms == pytest.approx(sum(by_element.values()) / factors.pop())


def test_brackets_and_fractions_are_read() -> None:
    assert parse_formula("Ca3(PO4)2").amounts == (3, 2, 8)
    alloy = parse_formula("Fe0.62C0.38")
    assert not alloy.integral
    assert dict(zip(alloy.elements, alloy.amounts, strict=True)) == {"Fe": 0.62, "C": 0.38}
    assert parse_formula(alloy.formula) == alloy


def test_all_elements_but_the_inert_can_be_named() -> None:
    assert len(SUPPORTED) == 103
    for symbol in REACTIVE:
        assert parse_formula(symbol).elements == (symbol,)
        assert Element(symbol).Z <= 103


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("Qq2O3", "'Qq'"),
        ("cspbi3", "cspbi"),
        ("Na(Cl", "("),
        ("NaCl-", "'-'"),
        ("H2O·2", "'·'"),
        ("NaCl;DROP TABLE", "';'"),
        ("Na0Cl", "amount of 0"),
        ("Na1e5Cl", "'e'"),
        ("HeO", "He"),
        ("Na" * (MAX_LENGTH + 1), str(MAX_LENGTH)),
        ("(" * 150, "(((("),
    ],
)
def test_a_bad_formula_is_refused_in_one_line_that_names_it(text: str, named: str) -> None:
    with pytest.raises(InvalidFormula) as caught:
        parse_formula(text)
    line = str(caught.value)
    assert isinstance(caught.value, UserError)
    assert named in line and "\n" not in line
    assert any(hint in line for hint in ("expected", "accepted", "not an element"))


def test_deuterium_is_hydrogen() -> None:
    assert parse_formula("D2O").formula == "H2O"


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        assert parse_formula(text).elements
    except InvalidFormula as error:
        assert "\n" not in str(error).replace(repr(text), "")
