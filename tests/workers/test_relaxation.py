"""Relaxation on energies that can be worked out by hand."""

import numpy as np
import pytest

from workers.crystals import from_arrays, matrix
from workers.errors import CrystalError
from workers.relaxation import Slope, relax

CUBE = from_arrays((4.0, 4.0, 4.0, 90, 90, 90), ("Na", "Cl"), np.array([[0, 0, 0], [0.45, 0.5, 0.5]]))
IDEAL = 4.3  # Å


def _spring(coords: np.ndarray, lattice: np.ndarray) -> Slope:
    """Springs that pull the second atom to the middle and the lattice to a cube."""
    pull, stretch = np.mod(coords[1] - coords[0], 1.0) - 0.5, lattice - IDEAL * np.eye(3)
    by_coords = 2 * 10 * np.stack([-pull, pull])
    return Slope(10 * float((pull**2).sum()) + float((stretch**2).sum()), by_coords, 2 * stretch)


def _burst(coords: np.ndarray, lattice: np.ndarray) -> Slope:
    """A push outwards that grows with the cell."""
    return Slope(
        -(float(np.trace(lattice)) ** 4), np.zeros_like(coords), -1e3 * np.eye(3) * float(np.trace(lattice)) ** 3
    )


def test_springs_come_to_rest() -> None:
    relaxed = relax(CUBE, _spring, 200, 0.01)
    assert relaxed.converged and relaxed.flaw is None
    np.testing.assert_allclose(relaxed.crystal.lattice[:3], IDEAL, atol=0.02)
    np.testing.assert_allclose(np.mod(np.diff(relaxed.crystal.coords, axis=0), 1.0), 0.5, atol=2e-3)


def test_few_steps_are_told_as_not_converged() -> None:
    relaxed = relax(CUBE, _spring, 3, 0.001)
    assert (relaxed.steps, relaxed.converged) == (3, False)


def test_no_step_measures_only() -> None:
    relaxed = relax(CUBE, _spring, 0, 0.001)
    assert relaxed.steps == 0 and relaxed.energy == pytest.approx((10 * 0.05**2 + 3 * 0.3**2) / 2)


def test_an_exploding_cell_is_stopped_and_told() -> None:
    relaxed = relax(CUBE, _burst, 500, 0.01)
    assert relaxed.flaw is not None and "exploded" in relaxed.flaw and not relaxed.converged
    assert relaxed.crystal.volume < 5 * CUBE.volume


def test_forces_that_are_not_numbers_end_the_relaxation() -> None:
    measured: list[int] = []

    def broken(coords: np.ndarray, lattice: np.ndarray) -> Slope:
        measured.append(1)
        return _spring(coords, lattice) if len(measured) < 4 else Slope(np.nan, coords, lattice)

    relaxed = relax(CUBE, broken, 30, 0.001)
    assert relaxed.flaw == "forces are not finite" and relaxed.steps == 2
    assert np.isfinite(relaxed.energy)


def test_a_crystal_that_cannot_be_measured_at_all_raises() -> None:
    def refuse(coords: np.ndarray, lattice: np.ndarray) -> Slope:
        raise CrystalError("NaCl", "no neighbour")

    with pytest.raises(CrystalError, match="no neighbour"):
        relax(CUBE, refuse, 30, 0.05)


def test_the_lowest_state_on_the_way_is_kept() -> None:
    energies: list[float] = []

    def watched(coords: np.ndarray, lattice: np.ndarray) -> Slope:
        slope = _spring(coords, lattice)
        energies.append(slope.energy)
        return slope

    relaxed = relax(CUBE, watched, 2, 1e-6)
    state = _spring(np.asarray(relaxed.crystal.coords), matrix(relaxed.crystal))
    assert energies[-1] > min(energies) == pytest.approx(2 * relaxed.energy)
    assert state.energy == pytest.approx(min(energies), abs=1e-9)


def test_a_crystal_that_need_not_move_is_the_same_crystal() -> None:
    assert relax(CUBE, _spring, 30, 1e3).crystal is CUBE
