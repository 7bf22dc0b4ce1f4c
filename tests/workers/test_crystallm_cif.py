"""Crystals as CIF text and back."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from workers.crystals import Crystal, from_structure, space_group, to_structure
from workers.errors import CrystalError
from workers.generator.crystallm.cif import write
from workers.generator.crystallm.parsing import read
from workers.generator.crystallm.tokens import UNKNOWN, split

REAL = {
    "halite": ("P1", Lattice([[0, 2.82, 2.82], [2.82, 0, 2.82], [2.82, 2.82, 0]]), ["Na", "Cl"], [[0] * 3, [0.5] * 3]),
    "diamond": ("P1", Lattice([[0, 2.7, 2.7], [2.7, 0, 2.7], [2.7, 2.7, 0]]), ["Si", "Si"], [[0] * 3, [0.25] * 3]),
    "caesium chloride": ("Pm-3m", Lattice.cubic(4.123), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "rutile": ("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.3048, 0.3048, 0]]),
    "quartz": (
        "P3_221",
        Lattice.hexagonal(4.9137, 5.4047),
        ["Si", "O"],
        [[0.4697, 0, 2 / 3], [0.4135, 0.2669, 0.7858]],
    ),
    "wurtzite": ("P6_3mc", Lattice.hexagonal(3.811, 6.234), ["Zn", "S"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.3748]]),
    "corundum": ("R-3c", Lattice.hexagonal(4.7602, 12.9933), ["Al", "O"], [[0, 0, 0.35216], [0.30624, 0, 0.25]]),
    "calcite": (
        "R-3c",
        Lattice.hexagonal(4.9900, 17.0615),
        ["Ca", "C", "O"],
        [[0, 0, 0], [0, 0, 0.25], [0.2570, 0, 0.25]],
    ),
    "perovskite": (
        "Pnma",
        Lattice.orthorhombic(5.4423, 7.6401, 5.3796),
        ["Ca", "Ti", "O", "O"],
        [[0.0359, 0.25, 0.9932], [0, 0, 0.5], [0.4838, 0.25, 0.0714], [0.2888, 0.0371, 0.7111]],
    ),
    "baddeleyite": (
        "P2_1/c",
        Lattice.monoclinic(5.1505, 5.2116, 5.3173, 99.23),
        ["Zr", "O", "O"],
        [[0.2754, 0.0395, 0.2083], [0.0700, 0.3317, 0.3447], [0.4496, 0.7569, 0.4792]],
    ),
    "marcasite": ("Pnnm", Lattice.orthorhombic(4.443, 5.4245, 3.3871), ["Fe", "S"], [[0, 0, 0], [0.2001, 0.3782, 0]]),
    "chalcopyrite": (
        "I-42d",
        Lattice.tetragonal(5.289, 10.423),
        ["Cu", "Fe", "S"],
        [[0, 0, 0], [0, 0, 0.5], [0.2574, 0.25, 0.125]],
    ),
}


@cache
def real(name: str) -> Crystal:
    group, lattice, species, points = REAL[name]
    structure = Structure.from_spacegroup(group, lattice, species, points)
    return from_structure(structure.get_primitive_structure())


@pytest.mark.parametrize("name", REAL)
def test_a_crystal_comes_back_as_it_was(name: str) -> None:
    crystal = real(name)
    back = read(write(crystal))
    matcher = StructureMatcher(ltol=0.01, stol=0.02, angle_tol=0.2, primitive_cell=False, scale=False)
    assert sorted(back.species) == sorted(crystal.species)
    assert matcher.fit(to_structure(crystal), to_structure(back))
    assert space_group(back, 0.01) == space_group(crystal, 0.01)


@pytest.mark.parametrize("name", REAL)
def test_a_text_of_what_was_read_is_the_same_text(name: str) -> None:
    text = write(real(name))
    assert write(read(text)).splitlines()[:20] == text.splitlines()[:20]


@pytest.mark.parametrize("name", REAL)
def test_every_word_of_a_text_is_known(name: str) -> None:
    assert UNKNOWN not in split(write(real(name)))


def test_a_text_is_laid_out_as_the_authors_files_are() -> None:
    text = write(real("rutile"))
    assert text.startswith("data_Ti2O4\nloop_\n_atom_type_symbol\n")
    assert "\nTi 1.5400 1.4000 0.8517\nO 3.4400 0.6000 1.2600\n_symmetry_space_group_name_H-M P4_2/mnm\n" in text
    assert "\n_chemical_formula_sum 'Ti2 O4'\n_cell_volume 62.4492\n_cell_formula_units_Z 2\n" in text
    assert "\nTi Ti0 2 0.0000 0.0000 0.0000 1\nO O1 4 " in text
    assert text.endswith(" 1\n\n")


def test_a_rotated_supercell_of_a_crystal_has_the_same_text() -> None:
    crystal = real("halite")
    structure = to_structure(crystal) * [[1, 1, 0], [0, 1, 1], [0, 0, 2]]
    assert write(from_structure(structure)) == write(crystal)


def test_coordinates_of_four_decimals_settle_on_their_position() -> None:
    back = to_structure(read(write(real("wurtzite"))))
    zinc = back.frac_coords[[str(site.specie) == "Zn" for site in back]]
    apart = zinc[0] - zinc[1]
    assert np.allclose(np.sort(np.abs(apart - np.rint(apart))), [1 / 3, 1 / 3, 1 / 2], atol=1e-9)


def changed(old: str, new: str) -> str:
    text = write(real("quartz"))
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data_\n",
        "not a crystal",
        changed("P3_221", "P9"),
        changed("P3_221\n", "\n"),
        changed("_cell_length_a 4.9137", "_cell_length_a 4.91.37"),
        changed("_cell_length_a 4.9137", "_cell_length_a 0.0000"),
        changed("_cell_angle_alpha 90.0000", "_cell_angle_alpha 359.0000"),
        changed("Si3 O6", "Si3 O7"),
        changed("Si Si0 3", "Si Si0 4"),
        changed("Si Si0 3", "Si Si0 6"),
        changed("Si Si0 3", "Si Si0 0"),
        changed("Si Si0 3", "Qq Si0 3"),
        changed("Si Si0 3", "Si Si0 ³"),
        changed(" 1\nO", " 0.5\nO"),
        changed("1 'x, y, z'\n", "1 'x, y, z'\n2 '-x, -y, -z'\n"),
        write(real("quartz"))[:-40],
    ],
)
def test_a_text_that_describes_no_crystal_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(CrystalError) as error:
        read(text)
    assert "\n" not in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damaged_text_ends_in_another_error(data: st.DataObject) -> None:
    words = split(write(real("rutile")))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(words) - 1))
        words[place : place + data.draw(st.integers(0, 3))] = [words[data.draw(st.integers(0, len(words) - 1))]]
    try:
        found = read("".join(words).replace("_sg", ""))
    except CrystalError:
        return
    assert isinstance(found, Crystal)
