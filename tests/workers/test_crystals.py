import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifParser

from workers.crystals import (
    Crystal,
    flaw,
    from_arrays,
    from_structure,
    merge_duplicates,
    rounded,
    shortest_distance,
    space_group,
    to_cif,
    to_structure,
)
from workers.errors import CrystalError


def rock_salt(a: float = 5.64) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def caesium_chloride(a: float = 3.4) -> Crystal:
    return Crystal((a, a, a, 90, 90, 90), ("Na", "Cl"), ((0, 0, 0), (0.5, 0.5, 0.5)))


def test_rock_salt_has_its_density_volume_and_space_group() -> None:
    crystal = from_structure(rock_salt())
    assert crystal.density == pytest.approx(2.16, abs=0.02)
    assert crystal.volume == pytest.approx(5.64**3)
    assert crystal.formula == "NaCl"
    assert space_group(crystal) == 225
    assert shortest_distance(crystal) == pytest.approx(5.64 / 2)
    assert flaw(crystal) is None


def test_the_cell_chosen_changes_nothing_physical() -> None:
    cells = [rock_salt(), rock_salt().get_primitive_structure(), rock_salt() * (2, 1, 1)]
    crystals = [from_structure(cell) for cell in cells]
    assert {space_group(crystal) for crystal in crystals} == {225}
    assert np.ptp([crystal.density for crystal in crystals]) < 1e-9
    assert np.ptp([shortest_distance(crystal) for crystal in crystals]) < 1e-6
    assert merge_duplicates(crystals) == [0, 0, 0]


def test_different_structures_of_one_formula_are_kept_apart() -> None:
    crystals = [from_structure(rock_salt()), caesium_chloride(), from_structure(rock_salt(5.7)), caesium_chloride(3.5)]
    assert merge_duplicates(crystals) == [0, 1, 0, 1]


def test_a_crystal_survives_json_cif_and_pymatgen() -> None:
    crystal = rounded(from_structure(rock_salt().get_primitive_structure()))
    assert Crystal.from_dict(crystal.to_dict()) == crystal
    assert from_structure(to_structure(crystal)).species == crystal.species
    parsed = CifParser.from_str(to_cif(crystal)).parse_structures(primitive=False)[0]
    assert merge_duplicates([crystal, from_structure(parsed)]) == [0, 0]
    assert to_cif(crystal) == to_cif(Crystal.from_dict(crystal.to_dict()))


@pytest.mark.parametrize(
    ("lattice", "second", "reason"),
    [
        ((4, 4, 4, 90, 90, 90), (0.05, 0, 0), "apart"),
        ((4, 4, 0.4, 90, 90, 90), (0.5, 0.5, 0.5), "edges"),
        ((1.5, 1.5, 1.5, 90, 90, 90), (0.5, 0.5, 0.5), "volume"),
        ((90, 90, 90, 90, 90, 90), (0.5, 0.5, 0.5), "volume"),
        ((4, 4, 4, 5, 90, 90), (0.5, 0.5, 0.5), "angles"),
        ((4, 4, 4, 60, 60, 130), (0.5, 0.5, 0.5), "angles"),
        ((4, 4, float("nan"), 90, 90, 90), (0.5, 0.5, 0.5), "finite"),
    ],
)
def test_what_cannot_be_a_crystal_is_named(lattice: tuple[float, ...], second: tuple[float, ...], reason: str) -> None:
    crystal = from_arrays(lattice, ("Na", "Cl"), np.array([(0, 0, 0), second]))
    assert reason in (flaw(crystal) or "")


def test_sites_without_species_are_refused() -> None:
    with pytest.raises(CrystalError):
        Crystal((4, 4, 4, 90, 90, 90), ("Na",), ((0, 0, 0), (0.5, 0.5, 0.5)))


def test_partly_occupied_sites_are_refused() -> None:
    alloy = Structure(Lattice.cubic(3.6), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(CrystalError, match="partly occupied"):
        from_structure(alloy)
