"""Crystal graphs as CHGNet reads them, built by array operations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from chgnet.graph import CrystalGraph
from pymatgen.optimization.neighbors import find_points_in_spheres

from workers.errors import CrystalError

ATOM_CUTOFF = 6.0  # Å, of CHGNet 0.3.0
BOND_CUTOFF = 3.0  # Å
MOST_NEIGHBOURS = 1000  # of one atom: about four times those of the densest crystal known
_PERIODIC = np.ones(3, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Bonds:
    """Directed bonds (center, neighbor, image, length in Å); the second half are the first half turned around."""

    center: np.ndarray
    neighbor: np.ndarray
    image: np.ndarray
    length: np.ndarray


def build_graph(numbers: Sequence[int], coords: np.ndarray, lattice: np.ndarray) -> CrystalGraph:
    """The graph of atomic numbers (n), fractional coordinates (n, 3) and lattice rows (3, 3) in Å; coordinates and
    lattice are leaves that take gradients. Raises CrystalError where an atom has no neighbour or far too many."""
    bonds = find_bonds(coords, lattice)
    _check(bonds, len(numbers))
    undirected = len(bonds.center) // 2
    return CrystalGraph(
        atomic_number=torch.tensor(numbers, dtype=torch.int32),
        atom_frac_coord=torch.tensor(coords, dtype=torch.float32, requires_grad=True),
        atom_graph=_indices(np.stack([bonds.center, bonds.neighbor], axis=1)),
        atom_graph_cutoff=ATOM_CUTOFF,
        neighbor_image=torch.tensor(bonds.image, dtype=torch.float32),
        directed2undirected=_indices(np.tile(np.arange(undirected), 2)),
        undirected2directed=_indices(np.arange(undirected)),
        bond_graph=_indices(find_angles(bonds)),
        bond_graph_cutoff=BOND_CUTOFF,
        lattice=torch.tensor(lattice, dtype=torch.float32, requires_grad=True),
    )


def find_bonds(coords: np.ndarray, lattice: np.ndarray) -> Bonds:
    """All bonds within the cutoff. Each is found once and turned around, so that none at the cutoff's edge can lack its
    reverse."""
    points = np.ascontiguousarray((coords @ lattice).astype(np.float64))
    cell = np.ascontiguousarray(lattice, dtype=np.float64)
    center, neighbor, offset, length = find_points_in_spheres(points, points, ATOM_CUTOFF, _PERIODIC, cell, 1e-8)
    image = offset.astype(np.int64)
    forward = ((neighbor > center) | ((neighbor == center) & _positive(image))) & (length > 1e-8)
    i, j, shift, d = center[forward], neighbor[forward], image[forward], length[forward]
    return Bonds(
        np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([shift, -shift]), np.concatenate([d, d])
    )


def find_angles(bonds: Bonds) -> np.ndarray:
    """Rows (center, undirected bond, directed bond, undirected bond, directed bond), one for each ordered pair of
    short bonds that share a center."""
    undirected = len(bonds.center) // 2
    short = np.flatnonzero(bonds.length < BOND_CUTOFF)
    short = short[np.argsort(bonds.center[short], kind="stable")]
    centers, starts, counts = np.unique(bonds.center[short], return_index=True, return_counts=True)
    partners = np.repeat(counts, counts)
    left = np.repeat(short, partners)
    within = np.arange(len(left)) - np.repeat(np.cumsum(partners) - partners, partners)
    right = short[np.repeat(np.repeat(starts, counts), partners) + within]
    rows = np.stack(
        [
            np.repeat(np.repeat(centers, counts), partners),
            left % max(undirected, 1),
            left,
            right % max(undirected, 1),
            right,
        ],
        axis=1,
    )
    return np.asarray(rows[left != right])


def _positive(image: np.ndarray) -> np.ndarray:
    """Whether the first component that is not zero is positive: true of exactly one of an image and its opposite."""
    weights = np.array([1 << 40, 1 << 20, 1])
    return np.asarray(image @ weights > 0)


def _check(bonds: Bonds, atoms: int) -> None:
    neighbours = np.bincount(bonds.center, minlength=atoms)
    if neighbours.min() == 0:
        raise CrystalError("graph", f"an atom has no neighbour within {ATOM_CUTOFF:g} Å")
    if neighbours.max() > MOST_NEIGHBOURS:
        raise CrystalError("graph", f"an atom has {neighbours.max()} neighbours within {ATOM_CUTOFF:g} Å")


def _indices(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.int32)
