"""Crystals: a lattice, species and fractional coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import spglib
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Element, Lattice, Structure
from pymatgen.io.cif import CifWriter

from workers.compositions import from_amounts
from workers.errors import CrystalError

SHORTEST_DISTANCE = 0.5  # Å: the validity rule of CDVAE (Xie et al., ICLR 2022)
VOLUME_PER_ATOM = (2.0, 400.0)  # Å³
LENGTHS = (1.0, 200.0)  # Å
ANGLES = (10.0, 170.0)  # degrees
SWELLING = 1.5  # by which two cells of one structure may differ in volume
GRAMS_PER_CM3 = 1.66053906660  # of one dalton in Å³
DIGITS = 6

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Crystal:
    """A cell (a, b, c in Å; α, β, γ in degrees), its element symbols and their fractional coordinates."""

    lattice: tuple[float, float, float, float, float, float]
    species: tuple[str, ...]
    coords: tuple[Triple, ...]

    def __post_init__(self) -> None:
        if len(self.species) != len(self.coords) or not self.species:
            raise CrystalError(self.species, f"{len(self.species)} species, {len(self.coords)} sites")

    @property
    def formula(self) -> str:
        """The canonical reduced formula."""
        return from_amounts({symbol: self.species.count(symbol) for symbol in set(self.species)}).formula

    @property
    def volume(self) -> float:
        """The cell's volume in Å³."""
        return abs(float(np.linalg.det(matrix(self))))

    @property
    def density(self) -> float:
        """The mass density in g/cm³."""
        mass = sum(float(Element(symbol).atomic_mass) for symbol in self.species)
        return GRAMS_PER_CM3 * mass / self.volume

    def to_dict(self) -> dict[str, object]:
        """The crystal as JSON values."""
        return {"lattice": list(self.lattice), "species": list(self.species), "coords": [list(c) for c in self.coords]}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "Crystal":
        """The crystal that to_dict wrote."""
        rows = cast(Sequence[Sequence[float]], data["coords"])
        coords = np.asarray(rows, dtype=np.float64).reshape(-1, 3)
        return from_arrays(cast(Sequence[float], data["lattice"]), cast(Sequence[str], data["species"]), coords)


def from_arrays(lattice: Sequence[float], species: Sequence[str], coords: np.ndarray) -> Crystal:
    """A crystal from six lattice parameters, n symbols and (n, 3) fractional coordinates."""
    a, b, c, alpha, beta, gamma = (float(value) for value in lattice)
    rows = tuple((float(x), float(y), float(z)) for x, y, z in coords)
    return Crystal((a, b, c, alpha, beta, gamma), tuple(species), rows)


def matrix(crystal: Crystal) -> np.ndarray:
    """The lattice vectors as rows, (3, 3) in Å."""
    return np.asarray(Lattice.from_parameters(*crystal.lattice).matrix, dtype=np.float64)


def to_structure(crystal: Crystal) -> Structure:
    """The crystal as a pymatgen structure."""
    return Structure(Lattice.from_parameters(*crystal.lattice), list(crystal.species), np.asarray(crystal.coords))


def from_structure(structure: Structure) -> Crystal:
    """The crystal of an ordered pymatgen structure; raises CrystalError where sites are partly occupied."""
    if not structure.is_ordered:
        raise CrystalError(structure.composition.formula, "partly occupied sites; an ordered structure is expected")
    symbols = [str(site.specie.symbol) for site in structure]
    return from_arrays(structure.lattice.parameters, symbols, np.asarray(structure.frac_coords))


def rounded(crystal: Crystal) -> Crystal:
    """The crystal as it is stored: coordinates in [0, 1), everything to six decimals."""
    coords = np.round(np.mod(np.asarray(crystal.coords), 1.0), DIGITS) % 1.0 + 0.0
    return from_arrays([round(value, DIGITS) for value in crystal.lattice], crystal.species, coords)


def to_cif(crystal: Crystal) -> str:
    """The crystal as CIF text in P1, the same bytes for the same crystal."""
    return str(CifWriter(to_structure(crystal)))


def space_group(crystal: Crystal, symprec: float = 0.1) -> int:
    """The international number that spglib finds at a tolerance in Å; 1 where it finds none."""
    numbers = [Element(symbol).Z for symbol in crystal.species]
    try:
        dataset = spglib.get_symmetry_dataset((matrix(crystal).tolist(), crystal.coords, numbers), symprec=symprec)
    except spglib.SpglibError:
        return 1  # spglib gives up on cells too distorted for the tolerance
    return 1 if dataset is None else int(dataset.number)


def shortest_distance(crystal: Crystal) -> float:
    """The shortest distance in Å between two sites, periodic images of one site included."""
    lattice = Lattice.from_parameters(*crystal.lattice)
    distances = lattice.get_all_distances(crystal.coords, crystal.coords)
    distances[np.diag_indices(len(distances))] = _shortest_translation(lattice)
    return float(distances.min())


def _shortest_translation(lattice: Lattice) -> float:
    return float(min(lattice.get_lll_reduced_lattice().abc))


def flaw(crystal: Crystal) -> str | None:
    """Why the crystal is not valid, or None: lengths, angles, volume per atom (Å³) and shortest distance (Å)."""
    lengths, angles = crystal.lattice[:3], crystal.lattice[3:]
    if not np.isfinite(crystal.lattice).all() or not np.isfinite(crystal.coords).all():
        return "a number is not finite"
    if min(lengths) < LENGTHS[0] or max(lengths) > LENGTHS[1]:
        return f"cell edges {min(lengths):.2f} to {max(lengths):.2f} Å"
    if min(angles) < ANGLES[0] or max(angles) > ANGLES[1] or not _closes(angles):
        return f"cell angles {min(angles):.1f}° to {max(angles):.1f}°"
    per_atom = crystal.volume / len(crystal.species)
    if not VOLUME_PER_ATOM[0] <= per_atom <= VOLUME_PER_ATOM[1]:
        return f"volume {per_atom:.1f} Å³ an atom"
    distance = shortest_distance(crystal)
    return f"two atoms {distance:.2f} Å apart" if distance < SHORTEST_DISTANCE else None


def _closes(angles: Sequence[float]) -> bool:
    """Whether three angles can meet in one corner of a cell."""
    cosines = np.cos(np.radians(angles))
    return bool(1 - (cosines**2).sum() + 2 * cosines.prod() > 1e-4)


def merge_duplicates(crystals: Sequence[Crystal]) -> list[int]:
    """For each crystal the index of the first one that is the same structure."""
    matcher = make_matcher()
    structures = [reduced(crystal) for crystal in crystals]
    first: list[int] = []
    for i, structure in enumerate(structures):
        earlier = (j for j in sorted(set(first)) if same(matcher, structures[j], structure))
        first.append(next(earlier, i))
    return first


def make_matcher() -> StructureMatcher:
    """What tells whether two structures are one."""
    return StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)


def reduced(crystal: Crystal) -> Structure:
    """The crystal's primitive, reduced cell."""
    return to_structure(crystal).get_reduced_structure().get_primitive_structure()


def same(matcher: StructureMatcher, one: Structure, other: Structure) -> bool:
    """Whether two primitive, reduced structures are the same; volumes that differ much need no closer look."""
    if len(one) != len(other) or one.composition != other.composition:
        return False
    ratio = one.volume / other.volume
    return 1 / SWELLING < ratio < SWELLING and bool(matcher.fit(one, other, skip_structure_reduction=True))
