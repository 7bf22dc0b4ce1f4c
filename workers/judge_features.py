"""What the structure predictor's heads read of a crystal: CHGNet's features pooled over atoms, and a few plain ones."""

import numpy as np
from pymatgen.core import Element

from workers.crystals import Crystal
from workers.judge_heads import FRACTIONS
from workers.potentials import Described


def features(crystal: Crystal, described: Described) -> np.ndarray:
    """One row (422): CHGNet's energy, atomic fractions (94), crystal features (64), mean, spread, largest and smallest
    of the atoms' features (4 × 64), site energies, moments, volume an atom and its logarithm."""
    return np.concatenate(
        [_fractions(crystal, described.energy), described.crystal, _pooled(described.atoms), _plain(crystal, described)]
    ).astype(np.float32)


def _fractions(crystal: Crystal, energy: float) -> np.ndarray:
    numbers = [Element(symbol).Z for symbol in crystal.species]
    row = np.bincount(numbers, minlength=FRACTIONS.stop) / len(numbers)
    row[0] = energy
    return row


def _pooled(atoms: np.ndarray) -> np.ndarray:
    return np.concatenate([atoms.mean(axis=0), atoms.std(axis=0), atoms.max(axis=0), atoms.min(axis=0)])


def _plain(crystal: Crystal, described: Described) -> np.ndarray:
    volume = crystal.volume / len(crystal.species)
    sites, moments = described.site_energies, described.moments
    return np.array(
        [sites.min(), sites.max(), moments.mean(), moments.max(), len(crystal.species), volume, np.log(volume)]
    )
