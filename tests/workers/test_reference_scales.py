"""The scale between a set's energies and a model's, and hulls on it, on phases that can be worked out by hand."""

from collections.abc import Iterable

import pytest
from pymatgen.core import Composition

from workers.reference_scales import ENERGY, HULL, Phases, Scale, above_hull, fit_scale, hull_energy

FORMATION = {"Na": 0.0, "Cl": 0.0, "NaCl": -2.0, "Na3Cl": -0.5, "MgCl2": -2.4, "Mg": 0.0, "MgNa": 0.1}
ATOMS = {"Na": -1.3, "Cl": -1.8, "Mg": -1.5}  # eV in the total energies of some functional


def total(formula: str, formation: float) -> float:
    composition = Composition(formula)
    return formation + sum(
        share * ATOMS[symbol] for symbol, share in composition.fractional_composition.as_dict().items()
    )


def fitted(formulas: Iterable[str], energies: Iterable[float], formation: Iterable[float]) -> Scale:
    scale = fit_scale(list(formulas), list(energies), list(formation))
    assert scale is not None
    return scale


def phases(*left_out: str) -> Phases:
    kept = {formula: energy for formula, energy in FORMATION.items() if formula not in left_out}
    energies = {formula: total(formula, energy) for formula, energy in kept.items()}
    return Phases(
        "mine",
        fitted(FORMATION, [total(*row) for row in FORMATION.items()], FORMATION.values()),
        energies,
    )


def test_total_energies_come_onto_the_models_scale() -> None:
    scale = phases().scale
    assert scale.shifts == pytest.approx(ATOMS, abs=1e-3) and scale.spread < 1e-3 and scale.structures == 7


def test_a_few_that_differ_do_not_move_the_scale_but_are_told_as_spread() -> None:
    formation = dict(FORMATION)
    energies = [total(formula, energy + (0.7 if formula == "Na3Cl" else 0.0)) for formula, energy in formation.items()]
    scale = fitted(formation, energies, formation.values())
    # 0.7 eV over the structures that are left when three elements have had their shifts
    assert scale.shifts == pytest.approx(ATOMS, abs=0.02) and scale.spread == pytest.approx(0.7 / 4, abs=0.02)


def test_too_few_structures_tell_no_scale_and_no_shift_of_what_comes_in_one_proportion() -> None:
    assert fit_scale(["NaCl", "Na"], [-3.5, -1.3], [-2.0, 0.0]) is None
    formulas = ["NaCl", "NaCl", "Mg", "Mg", "MgNa", "LiF", "LiF"]
    scale = fitted(formulas, [-3.0] * 7, [-1.0] * 7)
    assert set(scale.shifts) == {"Na", "Cl", "Mg"} and hull_energy("LiF", Phases("mine", scale, {"LiF": -3.0})) is None


def test_the_hull_is_that_of_the_set_whatever_its_zero_is() -> None:
    assert hull_energy("NaCl", phases()) == pytest.approx(-2.0, abs=1e-3)
    assert hull_energy("Na2Cl", phases()) == pytest.approx(-4 / 3, abs=1e-3)
    assert hull_energy("NaMgCl3", phases()) == pytest.approx((2 * -2.0 + 3 * -2.4) / 5, abs=1e-3)


def test_elements_lie_at_zero_where_the_set_has_none_and_alone() -> None:
    assert hull_energy("Na2Cl", phases("Na", "Cl")) == pytest.approx(-4 / 3, abs=1e-3)
    assert hull_energy("Na", phases()) == pytest.approx(0.0, abs=1e-3)


def test_a_structure_lies_above_the_hull_by_what_it_lacks() -> None:
    predicted = {ENERGY: (-1.7, 0.02), HULL: (9.0, 9.0)}
    value, std = (above_hull(predicted, "NaCl", phases()) or {})[HULL]
    assert value == pytest.approx(0.3, abs=1e-3) and std == pytest.approx(0.02)
    below = above_hull(predicted | {ENERGY: (-2.5, 0.02)}, "NaCl", phases())
    assert below is not None and below[HULL][0] == 0.0 and below[ENERGY] == (-2.5, 0.02)


def test_the_deviation_is_never_less_than_the_spread_of_the_set() -> None:
    rough = Phases("rough", Scale({"Na": 0.0, "Cl": 0.0}, 0.08, 9), {"NaCl": -2.0})
    assert (above_hull({ENERGY: (-1.9, 0.01), HULL: (0.0, 0.0)}, "NaCl", rough) or {})[HULL] == pytest.approx(
        (0.1, 0.08)
    )


@pytest.mark.parametrize("formula", ["KCl", "NaKCl2", "LiBeBCNOFNaMgAl"])
def test_no_hull_without_references_of_every_element(formula: str) -> None:
    assert hull_energy(formula, phases()) is None
    assert above_hull({ENERGY: (-1.0, 0.1), HULL: (0.5, 0.1)}, formula, phases()) is None


def test_no_hull_for_what_has_no_energy() -> None:
    assert above_hull({"structure_density": (2.0, 0.0)}, "NaCl", phases()) is None
