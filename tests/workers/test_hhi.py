"""The Herfindahl-Hirschman index against published values, and against what a mean by mass must do."""

import pytest

from workers.generator.conditions import BY_NAME
from workers.hhi import hhi


def test_barium_titanate_has_its_published_index() -> None:
    assert hhi("BaTiO3") == pytest.approx(1786, abs=1)


def test_the_index_does_not_depend_on_how_much_there_is() -> None:
    assert hhi("Ba2Ti2O6") == pytest.approx(hhi("BaTiO3"))


@pytest.mark.parametrize(("compound", "elements"), [("GaAs", ("Ga", "As")), ("BaTiO3", ("Ba", "Ti", "O"))])
def test_a_compound_lies_between_its_elements(compound: str, elements: tuple[str, ...]) -> None:
    found, ends = hhi(compound), [hhi(element) for element in elements]
    assert found is not None
    assert min(end for end in ends if end is not None) < found < max(end for end in ends if end is not None)


def test_it_is_none_where_an_element_has_no_market() -> None:
    assert hhi("PuO2") is None


@pytest.mark.parametrize("formula", ["SiO2", "PtO2", "Nd2Fe14B", "NaCl"])
def test_real_values_lie_in_the_range_that_can_be_asked_for(formula: str) -> None:
    found, condition = hhi(formula), BY_NAME["hhi"]
    assert found is not None
    assert condition.low <= found <= condition.high
