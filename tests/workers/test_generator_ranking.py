"""Rankings: different structures first, by probability, repetition, energy or all of them."""

from math import inf

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from workers.crystals import Crystal, from_structure, merge_duplicates
from workers.generator.evaluation.weighing import Choice, weights
from workers.generator.ranking import ENERGETIC, RANKINGS, WITHOUT_ENERGY, features, grouped, order
from workers.generator.requests import Generated


def rocksalt(edge: float) -> Crystal:
    return from_structure(
        Structure.from_spacegroup(
            225, Lattice.cubic(edge), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
        ).get_primitive_structure()
    )


def caesium_chloride(edge: float) -> Crystal:
    return from_structure(Structure(Lattice.cubic(edge), ["Na", "Cl"], [[0] * 3, [0.5] * 3]))


def nickel_arsenide(edge: float) -> Crystal:
    sites = [[0, 0, 0], [0, 0, 0.5], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]
    return from_structure(Structure(Lattice.hexagonal(edge, 1.63 * edge), ["Na", "Na", "Cl", "Cl"], sites))


SAMPLES = [
    Generated(None, -inf, "no cell"),
    Generated(caesium_chloride(3.4), -9.0, None, -1.0),
    Generated(rocksalt(5.6), -8.0, None, -1.4),
    Generated(rocksalt(5.7), -7.0, None, -1.3),
    Generated(nickel_arsenide(4.0), -2.0, None, -4.0),
    Generated(rocksalt(5.5), -6.0, None, -9.0),
]
ENERGIES = [inf, -3.0, -3.3, -3.2, -3.1, inf]


def test_structures_are_told_apart() -> None:
    assert grouped(SAMPLES) == [[1], [3, 2, 5], [4]]


def test_a_conventional_cell_is_the_structure_of_its_primitive_one() -> None:
    whole = from_structure(Structure.from_spacegroup(225, Lattice.cubic(5.6), ["Na", "Cl"], [[0] * 3, [0.5] * 3]))
    assert merge_duplicates([rocksalt(5.6), whole, caesium_chloride(3.4)]) == [0, 0, 2]


def test_what_is_swollen_beyond_recognition_is_another_structure() -> None:
    assert merge_duplicates([rocksalt(5.6), rocksalt(6.0), rocksalt(9.0)]) == [0, 0, 2]


@pytest.mark.parametrize(
    ("by", "firsts"),
    [
        ("first", [1, 2, 4]),
        ("log_likelihood", [4, 5, 1]),
        ("log_mass", [1, 3, 4]),
        ("cluster", [3, 1, 4]),
        ("likelihood", [3, 1, 4]),
        ("energy", [2, 4, 1]),
        ("both", [2, 1, 4]),
    ],
)
def test_the_first_are_different_structures(by: str, firsts: list[int]) -> None:
    ranked = order(SAMPLES, ENERGIES, by)
    assert ranked[:3] == firsts
    assert sorted(ranked) == list(range(len(SAMPLES)))
    assert ranked[-1] == 0  # what has no crystal
    assert ranked == order(SAMPLES, ENERGIES, by, grouped(SAMPLES))


@pytest.mark.parametrize("by", sorted(RANKINGS))
def test_nothing_to_rank_is_no_mistake(by: str) -> None:
    assert order([], [], by) == []
    assert order([Generated(None, -inf, "no cell")], [inf], by) == [0]


@pytest.mark.parametrize("by", sorted(RANKINGS))
def test_no_ranking_minds_what_has_no_energy(by: str) -> None:
    assert sorted(order(SAMPLES, [inf] * len(SAMPLES), by)) == list(range(len(SAMPLES)))


@pytest.mark.parametrize("by", sorted(ENERGETIC))
def test_energies_are_asked_for(by: str) -> None:
    with pytest.raises(ValueError, match="needs energies"):
        order(SAMPLES, None, by)


def test_features_are_relative_and_bounded() -> None:
    table = features(SAMPLES, ENERGIES, grouped(SAMPLES))
    assert table == pytest.approx(np.array([[0.0, 0.0, 0.2], [-0.3, np.log(3), 0.0], [-3.0, 0.0, 0.2]]))


def test_the_likeliest_structure_does_not_depend_on_a_shift_of_all_masses() -> None:
    shifted = [Generated(s.crystal, s.log_likelihood, s.flaw, s.log_mass - 100) for s in SAMPLES]
    assert order(SAMPLES, None, "likelihood") == order(shifted, None, "likelihood")


def test_weights_are_found_again() -> None:
    """Targets whose structure was drawn with known weights give those weights back."""
    rng = np.random.default_rng(0)
    true = np.array([*WITHOUT_ENERGY[:2], -5.0])
    choices = []
    for _ in range(500):
        table = rng.normal(size=(6, 3)) * [3.0, 1.0, 0.2]
        odds = np.exp(table @ true)
        choices.append(Choice(table, np.arange(6) == rng.choice(6, p=odds / odds.sum())))
    assert weights(choices) == pytest.approx(list(true), rel=0.25)


def test_targets_that_were_not_found_say_nothing_about_weights() -> None:
    assert weights([Choice(np.ones((2, 3)), np.zeros(2, dtype=np.bool_))]) == [0.0, 0.0, 0.0]
