"""Coordinates of four decimals that lie on a Wyckoff position, and the orbits that they make."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice

from workers.errors import CrystalError
from workers.generator.crystallm.cif import Site
from workers.generator.crystallm.orbits import PARTS, Neighbours, forms, orbit
from workers.spacegroups import UNIT, crystal_system, positions

GROUPS = (2, 14, 62, 139, 152, 166, 186, 194, 221)
EDGES = (7.0, 8.0, 9.0)


def lattice(group: int) -> np.ndarray:
    system = crystal_system(group)
    a, b, c = EDGES
    if system == "cubic":
        return np.asarray(Lattice.cubic(a).matrix)
    if system == "hexagonal":
        return np.asarray(Lattice.hexagonal(a, c).matrix)
    if system == "tetragonal":
        return np.asarray(Lattice.tetragonal(a, c).matrix)
    angles = {"triclinic": (85, 95, 103), "monoclinic": (90, 103, 90), "orthorhombic": (90, 90, 90)}[system]
    return np.asarray(Lattice.from_parameters(a, b, c, *angles).matrix)


@st.composite
def printed_points(draw: st.DrawFn) -> tuple[int, int, tuple[int, int, int]]:
    """A group, one of its positions, and an atom on it as four decimals say it."""
    group = draw(st.sampled_from(GROUPS))
    index = draw(st.integers(0, len(positions(group)) - 1))
    position = positions(group)[index]
    atom = draw(st.integers(0, position.multiplicity - 1))
    free = np.array([draw(st.integers(600, 9400).filter(lambda n: n % 100)) / PARTS for _ in range(position.free)])
    point = position.base[atom] / UNIT + position.basis[atom][:, : position.free] @ free
    x, y, z = (int(step) for step in np.rint(point * PARTS).astype(np.int64) % PARTS)
    return group, index, (x, y, z)


@settings(max_examples=150, deadline=None)
@given(printed_points())
def test_the_coordinates_of_an_atom_on_a_position_are_allowed(found: tuple[int, int, tuple[int, int, int]]) -> None:
    group, index, steps = found
    left = forms(group, (index,))
    for axis in range(3):
        assert left.allowed(steps[:axis])[steps[axis]]
        left = left.holding(steps[: axis + 1])
    assert len(left.base)


@settings(max_examples=150, deadline=None)
@given(printed_points())
def test_an_orbit_has_the_atoms_of_its_position(found: tuple[int, int, tuple[int, int, int]]) -> None:
    group, index, (x, y, z) = found
    size = positions(group)[index].multiplicity
    try:
        points = orbit(group, Site("O", size, (x / PARTS, y / PARTS, z / PARTS)), lattice(group))
    except CrystalError:  # the free coordinates happen to lie on a position of higher symmetry
        return
    assert points.shape == (size, 3)
    apart = points[0] - np.array([x, y, z]) / PARTS
    nearest = min(np.abs(points[i] - np.array([x, y, z]) / PARTS).max() for i in range(size))
    assert nearest < 2 / PARTS or np.abs(apart - np.rint(apart)).max() < 2 / PARTS


def test_a_fixed_position_leaves_nothing_open() -> None:
    left = forms(221, (0,))
    assert np.flatnonzero(left.allowed(())).tolist() == [0]


def test_a_coordinate_that_follows_from_another_is_told_to_the_last_decimal() -> None:
    index = next(i for i, p in enumerate(positions(221)) if p.multiplicity == 8 and p.free == 1)  # (x, x, x)
    left = forms(221, (index,)).holding((2345,))
    assert set(np.flatnonzero(left.allowed((2345,)))) == {2344, 2345, 2346, 7654, 7655, 7656}


def test_a_general_position_leaves_everything_open() -> None:
    general = len(positions(62)) - 1
    assert forms(62, (general,)).allowed((1234, 777)).all()


def test_a_point_of_another_multiplicity_is_refused() -> None:
    with pytest.raises(CrystalError):
        orbit(221, Site("O", 1, (0.2, 0.1, 0.3)), lattice(221))
    with pytest.raises(CrystalError):
        orbit(221, Site("O", 48, (0.0, 0.0, 0.0)), lattice(221))


def test_atoms_keep_clear_of_each_other_across_the_edges_of_the_cell() -> None:
    there = Neighbours(np.eye(3) * 4.0)
    there.place("O", np.array([[0.02, 0.0, 0.0]]))
    assert not there.fits("O", np.array([[0.98, 0.0, 0.0]]))
    assert there.fits("O", np.array([[0.52, 0.5, 0.5]]))


def test_an_orbit_keeps_clear_of_itself() -> None:
    there = Neighbours(np.eye(3) * 4.0)
    assert not there.fits("O", np.array([[0.01, 0.0, 0.0], [0.99, 0.0, 0.0]]))
    assert not Neighbours(np.eye(3) * 0.5).fits("O", np.zeros((1, 3)))
