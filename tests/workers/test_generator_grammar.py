"""Crystals to orbits to tokens and back: nothing of the structure is lost on the way."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from workers.crystals import Crystal, flaw, to_structure
from workers.generator.grammar import (
    ANGLE,
    CELL_BINS,
    RATIO,
    SITES,
    VOLUME,
    Bins,
    Column,
    Role,
    cell_from_values,
    cell_values,
    formula_of,
    primitive_multiplicity,
    rows,
    site_features,
    site_starts,
)
from workers.generator.orbits import SymmetricCrystal, encode, orbit_points, primitive_atoms
from workers.generator.unfolding import unfold
from workers.spacegroups import GROUPS, positions

KNOWN = {
    "rock salt": (225, Structure.from_spacegroup(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])),
    "perovskite": (
        221,
        Structure.from_spacegroup(
            221, Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
        ),
    ),
    "wurtzite": (
        186,
        Structure.from_spacegroup(
            186, Lattice.hexagonal(3.82, 6.26), ["Zn", "S"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.375]]
        ),
    ),
    "rutile": (
        136,
        Structure.from_spacegroup(136, Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
    ),
    "corundum": (
        167,
        Structure.from_spacegroup(
            167, Lattice.hexagonal(4.76, 12.99), ["Al", "O"], [[0, 0, 0.3523], [0.3064, 0, 0.25]]
        ),
    ),
    "baddeleyite": (
        14,
        Structure.from_spacegroup(
            14,
            Lattice.monoclinic(5.17, 5.23, 5.34, 99.2),
            ["Zr", "O", "O"],
            [[0.2754, 0.0395, 0.2083], [0.07, 0.3317, 0.3447], [0.4496, 0.7569, 0.4792]],
        ),
    ),
    "no symmetry": (
        1,
        Structure(
            Lattice.from_parameters(4.1, 5.2, 6.3, 81, 95, 103),
            ["Pb", "I", "O"],
            [[0.1, 0.2, 0.3], [0.61, 0.77, 0.82], [0.45, 0.3, 0.7]],
        ),
    ),
}


def encoded(structure: Structure) -> SymmetricCrystal:
    found = encode(
        np.asarray(structure.lattice.matrix), np.array(structure.atomic_numbers), np.asarray(structure.frac_coords)
    )
    assert found is not None
    return found


@pytest.mark.parametrize("name", KNOWN)
def test_a_crystal_comes_back_from_its_orbits(name: str) -> None:
    group, structure = KNOWN[name]
    crystal = encoded(structure)
    assert crystal.group == group
    back = unfold(crystal)
    distances = StructureMatcher().get_rms_dist(structure, to_structure(back))
    assert distances is not None and distances[1] < 0.01
    assert flaw(back) is None
    assert len(back.species) == len(structure.get_primitive_structure()) == primitive_atoms(crystal)


@pytest.mark.parametrize("name", KNOWN)
def test_the_description_does_not_depend_on_origin_order_or_cell(name: str) -> None:
    _, structure = KNOWN[name]
    other = structure.copy()
    other.translate_sites(range(len(other)), [0.31, 0.17, 0.59])
    other = Structure.from_sites(list(reversed(other.sites)))
    other.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    first, second = encoded(structure), encoded(other)
    assert first.group == second.group
    assert [(o.number, o.position) for o in first.orbits] == [(o.number, o.position) for o in second.orbits]
    if first.group != 1:  # Niggli cells of equal volume may differ in P 1 by the choice of axes' signs
        for one, two in zip(first.orbits, second.orbits, strict=True):
            apart = (np.array(one.free) - np.array(two.free) + 480) % 960 - 480
            assert np.abs(apart).max(initial=0) <= 1


def test_orbit_points_are_distinct_and_as_many_as_the_multiplicity() -> None:
    for group in (14, 166, 225):
        for index, place in enumerate(positions(group)):
            points = orbit_points(group, index, [101, 257, 391][: place.free])
            assert len({tuple(point) for point in points.tolist()}) == place.multiplicity


def test_coordinates_far_from_the_grid_are_still_found_on_their_position() -> None:
    structure = Structure.from_spacegroup(205, Lattice.cubic(5.42), ["Fe", "S"], [[0] * 3, [0.38513] * 3])
    crystal = encoded(structure)
    assert [len(orbit.free) for orbit in crystal.orbits] == [0, 1]


@pytest.mark.parametrize("name", KNOWN)
def test_rows_tell_the_truth_about_the_token_to_come(name: str) -> None:
    crystal = encoded(KNOWN[name][1])
    table = rows(crystal)
    formula = formula_of(crystal)
    assert [(r[Column.ELEMENT], r[Column.COUNT]) for r in table[: len(formula)].tolist()] == formula
    assert (table[: len(formula), Column.TARGET] == -1).all()
    predicted = table[len(formula) :]
    assert predicted[0, Column.ROLE] == Role.START
    assert predicted[0, Column.TARGET] == crystal.group
    assert (predicted[1:, Column.ROLE] == predicted[:-1, Column.NEXT_ROLE]).all()
    assert (predicted[1:, Column.ORBIT] == predicted[:-1, Column.NEXT_ORBIT]).all()
    free = sum(len(orbit.free) for orbit in crystal.orbits)
    assert (predicted[:, Column.NEXT_ROLE] >= Role.FIRST).sum() == free


@pytest.mark.parametrize("name", KNOWN)
def test_the_cell_comes_back_from_its_free_parameters(name: str) -> None:
    crystal = encoded(KNOWN[name][1])
    values = {role: CELL_BINS[role].value(CELL_BINS[role].index(value)) for role, value in cell_values(crystal).items()}
    atoms = sum(positions(crystal.group)[orbit.position].multiplicity for orbit in crystal.orbits)
    lattice = cell_from_values(crystal.group, values, atoms)
    assert lattice is not None
    assert lattice == pytest.approx(crystal.lattice, rel=0.012)


def test_angles_that_cannot_meet_give_no_cell() -> None:
    values = {Role.VOLUME: 20.0, Role.B_TO_A: 1.0, Role.C_TO_A: 1.0}
    flat = {Role.ALPHA: 120.0, Role.BETA: 120.0, Role.GAMMA: 120.0}
    assert cell_from_values(1, values | flat, 4) is None


@pytest.mark.parametrize("bins", [VOLUME, RATIO, ANGLE])
def test_bins_give_back_their_own_values(bins: Bins) -> None:
    assert [bins.index(bins.value(i)) for i in range(bins.count)] == list(range(bins.count))
    assert bins.index(bins.low / 2) == 0
    assert bins.index(bins.high * 2) == bins.count - 1


def test_site_table_counts_what_the_groups_have() -> None:
    sizes = np.diff(site_starts()).tolist()
    assert sizes == [len(positions(group)) for group in range(1, GROUPS + 1)]
    assert sum(sizes) == SITES
    assert site_features().shape == (SITES + 1, 25)
    assert np.isfinite(site_features()).all()


def test_primitive_multiplicities_divide_by_the_centring() -> None:
    assert [primitive_multiplicity(225, place) for place in positions(225)[:3]] == [1, 1, 2]


def test_a_cell_of_one_atom() -> None:
    crystal = Crystal((2.48, 2.48, 2.48, 60.0, 60.0, 60.0), ("Cu",), ((0.3, 0.3, 0.3),))
    found = encoded(to_structure(crystal))
    assert found.group == 225
    assert len(unfold(found).species) == 1
