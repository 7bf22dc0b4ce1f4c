"""The structure predictor that is shipped: chemistry it must know, and the contract of a model."""

import math

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from workers.cards import load_checkpoint
from workers.crystals import Crystal, from_arrays, from_structure, to_structure
from workers.judges import StructurePredictor
from workers.potentials import Potential
from workers.properties import Predicted

NAMES = [
    "structure_band_gap",
    "structure_formation_energy_per_atom",
    "structure_e_above_hull",
    "structure_density",
]
SODIUM = from_arrays((4.28, 4.28, 4.28, 90, 90, 90), ("Na", "Na"), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def _rock_salt(cation: str, anion: str, a: float) -> Crystal:
    structure = Structure.from_spacegroup(225, Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return from_structure(structure.get_primitive_structure())


def _isolated() -> Crystal:
    return from_arrays((7.0, 7.0, 7.0, 90, 90, 90), ("Xe",), np.zeros((1, 3)))


SALT, MAGNESIA = _rock_salt("Na", "Cl", 5.69), _rock_salt("Mg", "O", 4.25)


@pytest.fixture(scope="module")
def judge() -> StructurePredictor:
    return StructurePredictor(*load_checkpoint("structure-predictor"), Potential("cpu"))


@pytest.fixture(scope="module")
def answers(judge: StructurePredictor) -> list[Predicted]:
    return judge.predict([SALT, MAGNESIA, SODIUM])


def test_every_property_has_a_value_and_a_deviation(answers: list[Predicted], judge: StructurePredictor) -> None:
    assert all(list(answer) == NAMES for answer in answers) and set(judge.card.properties) == set(NAMES)
    for answer in answers:
        assert all(math.isfinite(value) for value, _ in answer.values())
        assert all(answer[name][1] > 0 for name in NAMES[:3]) and answer["structure_density"][1] == 0


def test_known_compositions_are_told_from_new_ones(judge: StructurePredictor) -> None:
    assert all(judge.knows(formula) for formula in ("NaCl", "CsPbI3", "Si"))
    assert not any(judge.knows(formula) for formula in ("Na7Cl2", "CsPb9I2"))


def test_formation_energies_are_those_of_chemistry(answers: list[Predicted]) -> None:
    salt, magnesia, sodium = (answer["structure_formation_energy_per_atom"][0] for answer in answers)
    assert salt == pytest.approx(-2.1, abs=0.15) and magnesia == pytest.approx(-3.0, abs=0.2)
    assert sodium == pytest.approx(0.0, abs=0.1)


def test_insulators_have_a_gap_and_metals_have_none(answers: list[Predicted]) -> None:
    salt, magnesia, sodium = (answer["structure_band_gap"][0] for answer in answers)
    assert salt > 3 and magnesia > 3 and sodium < 0.3


def test_known_crystals_lie_near_the_hull_and_swollen_ones_above(judge: StructurePredictor) -> None:
    near, far = judge.predict([SALT, _rock_salt("Na", "Cl", 6.9)])
    assert near["structure_e_above_hull"][0] < 0.05
    assert far["structure_e_above_hull"][0] > near["structure_e_above_hull"][0] + 0.05


def test_the_density_is_computed(answers: list[Predicted]) -> None:
    assert answers[0]["structure_density"][0] == pytest.approx(2.11, abs=0.02)
    assert answers[1]["structure_density"][0] == pytest.approx(3.49, abs=0.03)


def test_a_crystal_is_judged_the_same_to_the_bit_alone_and_in_company(judge: StructurePredictor) -> None:
    crystals = [SODIUM, _isolated(), SALT, MAGNESIA]
    together = judge.predict(crystals)
    assert together == [judge.predict([crystal])[0] for crystal in crystals]


def test_a_larger_cell_is_the_same_crystal(judge: StructurePredictor) -> None:
    doubled = from_structure(to_structure(SALT) * (1, 2, 1))
    one, two = judge.predict([SALT, doubled])
    for name in NAMES[1:]:
        assert one[name][0] == pytest.approx(two[name][0], abs=0.05)


def test_of_a_crystal_that_cannot_be_measured_only_the_density_is_known(judge: StructurePredictor) -> None:
    refused, salt = judge.predict([_isolated(), SALT])
    assert list(refused) == ["structure_density"] and list(salt) == NAMES


def test_the_card_states_its_errors_and_their_baselines(judge: StructurePredictor) -> None:
    metrics = judge.card.metrics
    tested, constant = metrics["test"], metrics["constant"]
    assert isinstance(tested, dict) and isinstance(constant, dict)
    assert all(tested[name]["mae"] < constant[name] for name in NAMES[:3])
    assert "MPtrj" in judge.card.notes
