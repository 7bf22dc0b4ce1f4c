"""Elements in the place of others: which compositions come of it, each once, in a fixed order."""

import pytest

from workers.compositions import parse_formula
from workers.errors import InvalidSubstitution
from workers.substitution import Substitution


def made(formula: str, charge_balanced: bool = False, **replace: list[str]) -> list[str]:
    return [one.formula for one in Substitution(replace, charge_balanced).of(parse_formula(formula))]


def test_one_or_several_elements_are_replaced_at_once() -> None:
    assert made("CsPbI3", Pb=["Sn"], I=["Br", "Cl"]) == ["CsPbBr3", "CsPbCl3", "CsSnI3", "CsSnBr3", "CsSnCl3"]


def test_amounts_stay_with_their_places() -> None:
    assert made("Al2O3", Al=["Ga"], O=["S"]) == ["Al2S3", "Ga2O3", "Ga2S3"]


def test_two_elements_never_become_one() -> None:
    assert made("CuInSe2", In=["Cu", "Ga"]) == [parse_formula("CuGaSe2").formula]
    assert made("CuInSe2", Cu=["Ag"], In=["Ag"]) == [parse_formula(one).formula for one in ("InAgSe2", "CuAgSe2")]


def test_elements_may_change_places() -> None:
    assert made("SrTiO3", Sr=["Ti"], Ti=["Sr"]) == [parse_formula("TiSrO3").formula]


def test_only_what_can_be_neutral_where_that_is_asked() -> None:
    assert made("NaCl", charge_balanced=True, Na=["K", "Ca"]) == ["KCl"]
    assert made("Fe0.62C0.38", charge_balanced=True, Fe=["Ni"]) == []


def test_what_holds_none_of_the_elements_comes_to_nothing() -> None:
    assert made("NaCl", Ba=["Sr"]) == []


@pytest.mark.parametrize(
    ("replace", "line"),
    [({}, "empty"), ({"Ba": []}, "nothing takes the place of Ba"), ({"Qq": ["Sr"]}, "'Qq'"), ({"Ba": ["Ne"]}, "'Ne'"),
     ({"Ba": ["Ba"]}, "other than Ba"), ({"Ba": ["Sr", "Sr"]}, "different elements")],
)  # fmt: skip
def test_a_mistake_is_one_line(replace: dict[str, list[str]], line: str) -> None:
    with pytest.raises(InvalidSubstitution, match=line) as caught:
        Substitution(replace)
    assert "\n" not in str(caught.value)
