"""The contract of a universal potential, as physics, run on CHGNet."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation

from workers.crystals import Crystal, from_arrays, from_structure, matrix, to_structure
from workers.potentials import Potential
from workers.relaxation import Slope

ROCK_SALT = Structure.from_spacegroup(225, Lattice.cubic(5.69), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture(scope="module")
def potential() -> Potential:
    return Potential("cpu")


def _salt() -> Crystal:
    return from_structure(ROCK_SALT.get_primitive_structure())


def _perovskite(a: float = 3.95, off: float = 0.0) -> Crystal:
    sites = ((0, 0, 0), (0.5, 0.5, 0.5 + off), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5))
    return from_arrays((a, a, a, 90, 90, 90), ("Sr", "Ti", "O", "O", "O"), np.array(sites))


def _isolated() -> Crystal:
    return from_arrays((7.0, 7.0, 7.0, 90, 90, 90), ("Xe",), np.zeros((1, 3)))


def _clashing() -> Crystal:
    return from_arrays((4.0, 4.0, 4.0, 90, 90, 90), ("Na", "Cl"), np.array([[0, 0, 0], [0.01, 0, 0]]))


def _shifted(crystal: Crystal) -> Crystal:
    coords = np.asarray(crystal.coords) + [0.13, -0.4, 2.0]
    return from_arrays(crystal.lattice, crystal.species, coords)


def _permuted(crystal: Crystal) -> Crystal:
    order = np.roll(np.arange(len(crystal.species)), 2)
    return from_arrays(crystal.lattice, [crystal.species[i] for i in order], np.asarray(crystal.coords)[order])


def _turned(crystal: Crystal) -> Crystal:
    """The axes in another order: the same crystal, turned and mirrored."""
    a, b, c, alpha, beta, gamma = crystal.lattice
    return from_arrays((c, a, b, gamma, alpha, beta), crystal.species, np.asarray(crystal.coords)[:, [2, 0, 1]])


def _doubled(crystal: Crystal) -> Crystal:
    return from_structure(to_structure(crystal) * (2, 1, 1))


def _sheared(crystal: Crystal) -> Crystal:
    """Another cell of the same lattice."""
    cell = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ matrix(crystal)
    structure = to_structure(crystal)
    return from_structure(Structure(Lattice(cell), structure.species, structure.cart_coords, coords_are_cartesian=True))


@pytest.mark.parametrize("change", [_shifted, _permuted, _turned, _doubled, _sheared])
def test_energy_is_that_of_the_crystal_not_of_its_description(
    potential: Potential, change: Callable[[Crystal], Crystal]
) -> None:
    crystal = _perovskite(off=0.03)
    first, second = potential.energies([crystal, change(crystal)])
    assert second == pytest.approx(first, abs=2e-6)


def test_features_are_those_of_the_crystal_not_of_its_cell(potential: Potential) -> None:
    first, second = (potential.describe(crystal) for crystal in (_perovskite(), _doubled(_perovskite())))
    np.testing.assert_allclose(first.crystal, second.crystal, atol=1e-4)
    np.testing.assert_allclose(first.atoms.mean(axis=0), second.atoms.mean(axis=0), atol=1e-4)
    assert first.crystal.shape == (64,) and first.atoms.shape == (5, 64) and first.moments.shape == (5,)


def test_energies_are_the_same_to_the_bit_alone_and_in_company(potential: Potential) -> None:
    crystals = [_salt(), _perovskite(), _isolated(), _doubled(_perovskite(off=0.05)), _perovskite(4.1)]
    together = potential.energies(crystals)
    assert together == [potential.energies([crystal])[0] for crystal in crystals]
    assert together == potential.energies(crystals[::-1])[::-1]


def test_the_right_lattice_constant_has_the_lowest_energy(potential: Potential) -> None:
    lengths = (3.6, 3.95, 4.4)
    energies = potential.energies([_perovskite(a) for a in lengths])
    assert min(energies) == energies[1]


def test_what_cannot_be_measured_has_a_reason_and_leaves_the_others_alone(potential: Potential) -> None:
    heavy = replace(_salt(), species=("Am", "Cl"))
    crystals = [_isolated(), _salt(), _clashing(), heavy]
    energies = potential.energies(crystals)
    assert [math.isinf(energy) for energy in energies] == [True, False, True, True]
    reasons = [potential.refusal(crystal) for crystal in crystals]
    assert "no neighbour" in str(reasons[0]) and reasons[1] is None
    assert "0.04 Å" in str(reasons[2]) and "plutonium" in str(reasons[3])


def test_loading_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    Potential("cpu").energies([_salt()])
    assert capsys.readouterr() == ("", "")


def test_relaxation_lowers_the_energy_and_keeps_the_composition(potential: Potential) -> None:
    crystals = [_perovskite(4.15, off=0.04), _doubled(_perovskite(3.8, off=0.02))]
    for crystal, before, relaxed in zip(
        crystals, potential.energies(crystals), potential.relax(crystals, 30, 0.05), strict=True
    ):
        assert relaxed.energy < before - 0.01 and relaxed.flaw is None
        assert relaxed.crystal.species == crystal.species and 0 < relaxed.steps <= 30
        assert relaxed.crystal.volume / len(crystal.species) == pytest.approx(12.0, rel=0.1)
        assert relaxed.energy == pytest.approx(potential.energies([relaxed.crystal])[0], abs=1e-5)


def test_relaxation_is_the_same_to_the_bit_alone_and_in_company(potential: Potential) -> None:
    crystals = [_perovskite(4.1, off=0.05), _isolated(), _salt()]
    together = potential.relax(crystals, 6, 0.05)
    assert together == [potential.relax([crystal], 6, 0.05)[0] for crystal in crystals]


def test_a_relaxed_crystal_stays_where_it_is(potential: Potential) -> None:
    relaxed = potential.relax([_salt()], 60, 0.02)[0]
    assert relaxed.converged
    again = potential.relax([relaxed.crystal], 30, 0.05)[0]
    assert again.converged and again.steps == 0


def test_forces_are_the_slope_of_the_energy(potential: Potential) -> None:
    crystal, nudge, step = _perovskite(4.2, off=0.05), 1e-3, 1e-2
    numbers, coords, cell = [38, 22, 8, 8, 8], np.asarray(crystal.coords), matrix(crystal)
    move, stretch = np.zeros((5, 3)), np.zeros((3, 3))
    move[1, 2], stretch[2, 2] = nudge, step
    slope = potential.slope(numbers, coords, cell)
    ahead, behind = (potential.slope(numbers, coords + sign * move, cell).energy for sign in (1, -1))
    assert slope.by_coords[1, 2] == pytest.approx((ahead - behind) / (2 * nudge), rel=0.05)
    ahead, behind = (potential.slope(numbers, coords, cell + sign * stretch).energy for sign in (1, -1))
    assert slope.by_lattice[2, 2] == pytest.approx((ahead - behind) / (2 * step), rel=0.02)


def _measured(potential: Potential, coords: np.ndarray, cell: np.ndarray) -> Slope:
    return potential.slope([38, 22, 8, 8, 8], coords, cell)


def _bent() -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and cell of a perovskite without any symmetry."""
    rng = np.random.default_rng(0)
    crystal = _perovskite(4.1, off=0.05)
    return np.asarray(crystal.coords) + rng.normal(0, 0.02, (5, 3)), matrix(crystal) + rng.normal(0, 0.1, (3, 3))


def test_forces_turn_with_the_crystal(potential: Potential) -> None:
    coords, cell = _bent()
    turn = Rotation.from_rotvec([0.4, -1.1, 2.0]).as_matrix()
    here, there = _measured(potential, coords, cell), _measured(potential, coords, cell @ turn.T)
    assert there.energy == pytest.approx(here.energy, abs=1e-4)
    np.testing.assert_allclose(there.by_coords, here.by_coords, atol=1e-3)
    np.testing.assert_allclose(there.by_lattice, here.by_lattice @ turn.T, atol=1e-3)


def test_forces_do_not_know_the_origin_and_add_up_to_none(potential: Potential) -> None:
    coords, cell = _bent()
    here, there = _measured(potential, coords, cell), _measured(potential, coords + [0.3, -0.2, 1.0], cell)
    np.testing.assert_allclose(there.by_coords, here.by_coords, atol=1e-3)
    np.testing.assert_allclose(here.by_coords.sum(axis=0), 0.0, atol=1e-3)
    assert np.abs(here.by_coords).max() > 0.5


def test_forces_follow_the_atoms_into_another_order_and_a_larger_cell(potential: Potential) -> None:
    coords, cell = _bent()
    here = _measured(potential, coords, cell)
    order = [0, 1, 4, 2, 3]
    np.testing.assert_allclose(_measured(potential, coords[order], cell).by_coords, here.by_coords[order], atol=1e-3)
    halves = coords * [0.5, 1, 1]
    doubled = np.vstack([halves, halves + [0.5, 0, 0]])
    there = potential.slope([38, 22, 8, 8, 8] * 2, doubled, cell * [[2], [1], [1]])
    assert there.energy == pytest.approx(2 * here.energy, abs=1e-4)
    np.testing.assert_allclose(there.by_coords[:5], here.by_coords * [2, 1, 1], atol=2e-3)


def test_inputs_are_left_alone(potential: Potential) -> None:
    crystal = _perovskite(4.1)
    before = crystal.to_dict()
    potential.energies([crystal])
    potential.relax([crystal], 3, 0.05)
    assert crystal.to_dict() == before


def test_what_cannot_be_relaxed_comes_back_with_its_flaw(potential: Potential) -> None:
    relaxed = potential.relax([_isolated(), _clashing()], 5, 0.05)
    assert [r.crystal for r in relaxed] == [_isolated(), _clashing()]
    assert all(r.flaw and math.isinf(r.energy) and not r.converged and r.steps == 0 for r in relaxed)
