"""The convex hull, on phases whose mixtures can be worked out by hand."""

import pytest

from workers.hulls import Hull
from workers.known_phases import atomic_fractions, build_hull, canonical, lowest

PHASES = {"NaCl": -2.0, "Na3Cl": -0.5, "MgCl2": -2.4, "CsPbI3": -1.2, "PbI2": -0.8, "CsI": -1.8}


@pytest.fixture
def hull() -> Hull:
    return build_hull(PHASES)


def test_a_known_phase_lies_on_the_hull(hull: Hull) -> None:
    assert hull.energy({11: 1, 17: 1}) == pytest.approx(-2.0)


def test_elements_have_no_formation_energy(hull: Hull) -> None:
    assert hull.energy({11: 4}) == pytest.approx(0.0)


def test_a_mixture_is_weighed_by_atoms(hull: Hull) -> None:
    # Na2Cl falls apart into Na (1 atom of 3) and NaCl (2 of 3), lower than Na3Cl reaches
    assert hull.energy({11: 2, 17: 1}) == pytest.approx(-2.0 * 2 / 3)


def test_amounts_are_relative(hull: Hull) -> None:
    assert hull.energy({12: 2, 17: 4}) == hull.energy({12: 1, 17: 2})


def test_without_its_own_phase_a_compound_is_measured_against_the_others(hull: Hull) -> None:
    perovskite = {55: 1, 82: 1, 53: 3}
    assert hull.energy(perovskite, without_own=True) == pytest.approx((3 * -0.8 + 2 * -1.8) / 5)
    assert hull.energy(perovskite) == pytest.approx((3 * -0.8 + 2 * -1.8) / 5)  # -1.2: the known phase lies above


def test_heavy_and_light_elements_are_told_apart(hull: Hull) -> None:
    # 17 and 81 = 17 + 64 share a bit of their words
    assert hull.energy({11: 1, 81: 1}) == pytest.approx(0.0)


def test_the_lowest_of_several_entries_counts_and_elements_are_left_out() -> None:
    found = lowest(["ClNa", "NaCl", "O2", "?"], [-1.0, -2.0, 0.0, -9.0])
    assert found == {"NaCl": -2.0}


def test_fractions_of_a_formula_add_up_to_one() -> None:
    assert atomic_fractions("Ca3(PO4)2") == pytest.approx({20: 3 / 13, 15: 2 / 13, 8: 8 / 13})
    assert atomic_fractions("nonsense") == {} and canonical("O3TiBa") == "BaTiO3"


def test_which_compositions_are_those_of_phases(hull: Hull) -> None:
    assert hull.holds({11: 1, 17: 1}) and hull.holds({17: 4, 12: 2}) and hull.holds({14: 1})
    assert not hull.holds({11: 2, 17: 1}) and not hull.holds({19: 1, 17: 1}) and not hull.holds({11: 1, 12: 1})
