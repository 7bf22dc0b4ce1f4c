"""Relaxation of one crystal, cell and positions together, by the fast inertial relaxation engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from pymatgen.core import Lattice

from workers.crystals import VOLUME_PER_ATOM, Crystal, from_arrays, matrix
from workers.errors import CrystalError

# FIRE (Bitzek et al., PRL 97, 170201, 2006), impatient: thirty steps must do.
FIRST_STEP, LONGEST_STEP = 0.3, 1.0
LONGEST_MOVE = 0.2  # Å, the norm of one move of all coordinates together
PATIENCE = 2  # downhill steps before the step grows
GROWTH, SHRINKAGE = 1.2, 0.5
FIRST_MIXING, MIXING_DECAY = 0.25, 0.99
SWELLING = 4.0  # a cell that grows or shrinks by more has exploded


@dataclass(frozen=True, slots=True)
class Slope:
    """Energy in eV of a whole cell and its gradients by fractional coordinates (n, 3) and by lattice rows (3, 3)."""

    energy: float
    by_coords: np.ndarray
    by_lattice: np.ndarray


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A relaxed crystal with its energy in eV/atom; the flaw says why it could not be relaxed to the end."""

    crystal: Crystal
    energy: float
    steps: int
    converged: bool
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a relaxation stands: coordinates (n, 3), lattice (3, 3) in Å, energy in eV, largest force in eV/Å."""

    coords: np.ndarray
    lattice: np.ndarray
    energy: float
    force: float


Measure = Callable[[np.ndarray, np.ndarray], Slope]


def relax(crystal: Crystal, measure: Measure, steps: int, fmax: float) -> Relaxed:
    """The state of lowest energy within so many steps, or until no force exceeds fmax in eV/Å; cell forces count, per
    atom. What cannot be measured on the way ends the relaxation and is told as the flaw. Raises CrystalError where the
    crystal itself cannot be measured."""
    path = walk(np.asarray(crystal.coords), matrix(crystal), measure)
    first = best = last = next(path)
    taken, problem = 0, None
    while taken < steps and last.force > fmax:
        try:
            last = next(path)
        except CrystalError as exc:
            problem = reason(exc)
            break
        taken += 1
        best = min(best, last, key=lambda cell: cell.energy)
    crystal = crystal if best is first else _crystal(crystal, best)
    return Relaxed(crystal, best.energy / len(crystal.species), taken, last.force <= fmax, problem)


def walk(coords: np.ndarray, lattice: np.ndarray, measure: Measure) -> Iterator[Cell]:
    """The crystal, then its states after each step. The moving variables are the atoms' places in the first cell, Å,
    and the cell's deformation times the number of atoms, so that both move at about the same pace."""
    atoms, inverse = len(coords), np.linalg.inv(lattice)
    variables = np.vstack([coords @ lattice, np.eye(3) * atoms])
    engine = Engine(np.zeros_like(variables))
    while True:
        cell = lattice @ variables[atoms:].T / atoms
        _check(cell, lattice, atoms)
        slope = measure(variables[:atoms] @ inverse, cell)
        forces = -np.vstack([slope.by_coords @ inverse.T, slope.by_lattice.T @ lattice / atoms])
        if not np.isfinite(forces).all() or not np.isfinite(slope.energy):
            raise CrystalError("relaxation", "forces are not finite")
        largest = float(np.sqrt((forces**2).sum(axis=1).max()))
        yield Cell(variables[:atoms] @ inverse, cell, slope.energy, largest)
        variables = variables + engine.move(forces)


@dataclass(slots=True)
class Engine:
    """FIRE's memory: velocities, step length, mixing, downhill steps in a row."""

    velocity: np.ndarray
    step: float = FIRST_STEP
    mixing: float = FIRST_MIXING
    downhill: int = 0

    def move(self, forces: np.ndarray) -> np.ndarray:
        """The next move in Å for forces in eV/Å."""
        if float((forces * self.velocity).sum()) > 0:
            self._go_on(forces)
        elif self.velocity.any():
            self._turn()
        self.velocity = self.velocity + self.step * forces
        move = self.step * self.velocity
        return move * min(1.0, LONGEST_MOVE / max(float(np.linalg.norm(move)), 1e-12))

    def _go_on(self, forces: np.ndarray) -> None:
        along = forces / np.linalg.norm(forces) * np.linalg.norm(self.velocity)
        self.velocity = (1 - self.mixing) * self.velocity + self.mixing * along
        self.downhill += 1
        if self.downhill > PATIENCE:
            self.step = min(self.step * GROWTH, LONGEST_STEP)
            self.mixing *= MIXING_DECAY

    def _turn(self) -> None:
        self.velocity = np.zeros_like(self.velocity)
        self.step *= SHRINKAGE
        self.mixing, self.downhill = FIRST_MIXING, 0


def reason(error: CrystalError) -> str:
    """What an error says of a crystal, without its name."""
    return str(error.args[1])


def _check(cell: np.ndarray, start: np.ndarray, atoms: int) -> None:
    """Refuse a cell before its neighbours are counted: those of a collapsed one would fill the memory."""
    volume, ratio = float(np.linalg.det(cell)), float(np.linalg.det(cell) / np.linalg.det(start))
    if not 1 / SWELLING < ratio < SWELLING or not VOLUME_PER_ATOM[0] <= abs(volume) / atoms <= VOLUME_PER_ATOM[1]:
        raise CrystalError("relaxation", f"the cell exploded to {ratio:.3g} times its volume")


def _crystal(start: Crystal, cell: Cell) -> Crystal:
    lattice = Lattice(cell.lattice).parameters
    return from_arrays(lattice, start.species, np.mod(cell.coords, 1.0))
