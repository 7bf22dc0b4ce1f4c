"""Graphs: the bonds and angles that geometry asks for."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from workers.crystal_graphs import ATOM_CUTOFF, BOND_CUTOFF, Bonds, build_graph, find_angles, find_bonds
from workers.errors import CrystalError

CELL = np.array([[3.1, 0.2, 0.0], [0.4, 3.4, 0.1], [-0.3, 0.5, 4.2]])
COORDS = np.array([[0.0, 0.0, 0.0], [0.52, 0.47, 0.55], [0.2, 0.8, 0.3]])


def _bonds() -> Bonds:
    return find_bonds(COORDS, CELL)


def test_bonds_are_those_of_pymatgen() -> None:
    structure = Structure(Lattice(CELL), ["Na", "Cl", "O"], COORDS)
    center, neighbor, image, length = structure.get_neighbor_list(ATOM_CUTOFF)
    expected = {(int(i), int(j), *map(int, shift)) for i, j, shift in zip(center, neighbor, image, strict=True)}
    bonds = _bonds()
    rows = zip(bonds.center, bonds.neighbor, bonds.image, strict=True)
    assert {(int(i), int(j), *map(int, shift)) for i, j, shift in rows} == expected
    assert len(bonds.length) == len(expected) and np.isclose(sorted(bonds.length), sorted(length)).all()


def test_the_second_half_turns_the_first_around() -> None:
    bonds = _bonds()
    half = len(bonds.center) // 2
    assert (bonds.center[:half] == bonds.neighbor[half:]).all() and (bonds.image[:half] == -bonds.image[half:]).all()


def test_angles_are_all_ordered_pairs_of_short_bonds_at_a_center() -> None:
    bonds = _bonds()
    short = [i for i, length in enumerate(bonds.length) if length < BOND_CUTOFF]
    expected = {(i, j) for i in short for j in short if i != j and bonds.center[i] == bonds.center[j]}
    angles = find_angles(bonds)
    assert {(int(row[2]), int(row[4])) for row in angles} == expected and len(angles) == len(expected)
    half = len(bonds.center) // 2
    assert (angles[:, [1, 3]] == angles[:, [2, 4]] % half).all() and (angles[:, 0] == bonds.center[angles[:, 2]]).all()


def test_a_wide_cell_has_bonds_but_no_angles() -> None:
    graph = build_graph([55], np.zeros((1, 3)), 4.5 * np.eye(3))
    assert len(graph.atom_graph) == 6 and len(graph.bond_graph) == 0


@pytest.mark.parametrize(("edge", "reason"), [(9.0, "no neighbour"), (0.6, "neighbours within 6 Å")])
def test_an_atom_alone_or_in_a_crowd_is_refused(edge: float, reason: str) -> None:
    with pytest.raises(CrystalError, match=reason):
        build_graph([11], np.zeros((1, 3)), edge * np.eye(3))
