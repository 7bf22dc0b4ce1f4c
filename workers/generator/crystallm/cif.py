"""CIF text as CrystaLLM writes it: a conventional cell, one line for each orbit, the operations left to the symbol.

The order of lines and the rounding are those of the authors' preparation of pymatgen's files, which is what their
checkpoints have read (Antunes et al., Nat. Commun. 15, 10570, 2024).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import spglib
from pymatgen.core import Composition, Element, Lattice

from workers.crystals import Crystal, matrix
from workers.errors import CrystalError

SYMPREC = 0.1  # Å, and the tolerance in degrees beside it, of the symmetry in the authors' files
ANGLE = 5.0
NAME = "_symmetry_space_group_name_H-M"
LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
WIDTH = 70  # a value that would reach beyond stands on a line of its own
_ALLEN = {"He": "4.16", "Ne": "4.79", "Ar": "3.24"}  # electronegativity, for the elements without one of Pauling's
_VAN_DER_WAALS = {"He": "1.4", "Ne": "1.54", "Ar": "1.88", "Kr": "2.02", "Xe": "2.16"}  # Å, without an atomic radius
_OPERATIONS = "loop_\n_symmetry_equiv_pos_site_id\n_symmetry_equiv_pos_as_xyz\n1 'x, y, z'\n"
_COLUMNS = ("type_symbol", "label", "symmetry_multiplicity", "fract_x", "fract_y", "fract_z", "occupancy")
_ATOMS = "".join(["loop_\n", *(f"_atom_site_{column}\n" for column in _COLUMNS)])

Floats = npt.NDArray[np.float64]
Cell = tuple[Sequence[Sequence[float]], Sequence[Sequence[float]], Sequence[int]]  # vectors, coordinates, numbers
Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Site:
    """One orbit: its element, its atoms in the conventional cell, and the fractional coordinates of one of them."""

    element: str
    multiplicity: int
    point: tuple[float, float, float]


def write(crystal: Crystal) -> str:
    """The text of a crystal, from its number of atoms in the conventional cell to two line ends.

    Raises CrystalError where spglib finds no symmetry, or another in the standard cell.
    """
    numbers = [Element(symbol).Z for symbol in crystal.species]
    cell: Cell = (matrix(crystal).tolist(), crystal.coords, numbers)
    dataset = _analysed(cell)
    standard = _standard(cell)
    settled = _analysed(standard)
    if settled.number != dataset.number:
        raise CrystalError(f"of space group {dataset.number}", f"its standard cell is of space group {settled.number}")
    sites = _orbits(standard, np.asarray(settled.equivalent_atoms))
    lattice = Lattice(standard[0])
    keys = zip(LENGTHS + ANGLES, lattice.parameters, strict=True)
    opening = f"{header(counted(sites))}{NAME} {dataset.international}\n"
    shape = "".join(f"{key} {value:.4f}\n" for key, value in keys)
    content = contents(int(dataset.number), counted(sites), float(lattice.volume))
    return f"{opening}{shape}{content}{''.join(map(row, sites, range(len(sites))))}\n"


def _standard(cell: Cell) -> Cell:
    """The conventional cell in its standard setting, the least electronegative atoms first."""
    refined = spglib.refine_cell(cell, symprec=SYMPREC, angle_tolerance=ANGLE)
    assert refined is not None
    lattice, points, kinds = (np.asarray(part) for part in refined)
    order = np.argsort([_electronegativity(_name(number)) for number in kinds], kind="stable")
    return lattice.tolist(), points[order].tolist(), kinds[order].tolist()


def _analysed(cell: Cell) -> spglib.SpglibDataset:
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=SYMPREC, angle_tolerance=ANGLE)
    except spglib.SpglibError as exc:
        raise CrystalError("without symmetry", str(exc)) from exc
    if dataset is None:
        raise CrystalError("without symmetry", f"spglib finds none within {SYMPREC} Å")
    return dataset


def _orbits(cell: Cell, equivalent: npt.NDArray[np.int64]) -> list[Site]:
    """One site for each orbit of a standardised cell: the least electronegative element first, then large orbits."""
    points, kinds = np.asarray(cell[1]), cell[2]
    sites = []
    for first in np.unique(equivalent):
        members = np.flatnonzero(equivalent == first)
        chosen = points[min(members, key=lambda index: tuple(np.abs(points[index])))]
        sites.append(Site(_name(kinds[first]), len(members), (float(chosen[0]), float(chosen[1]), float(chosen[2]))))
    return sorted(sites, key=lambda s: (_electronegativity(s.element), -s.multiplicity, s.point))


def counted(sites: Iterable[Site]) -> dict[str, int]:
    """Atoms in the conventional cell by element."""
    counts: dict[str, int] = {}
    for site in sites:
        counts[site.element] = counts.get(site.element, 0) + site.multiplicity
    return counts


def row(site: Site, index: int) -> str:
    """The line of an orbit."""
    x, y, z = (_coordinate(value) for value in site.point)
    return f"{site.element} {site.element}{index} {site.multiplicity} {x} {y} {z} 1\n"


def _coordinate(value: float) -> str:
    text = f"{value % 1.0:.4f}"
    return "0.0000" if text == "1.0000" else text


def _name(number: int) -> str:
    return str(Element.from_Z(int(number)).symbol)


@cache
def _electronegativity(symbol: str) -> float:
    """Pauling's, infinite where there is none."""
    return float("inf") if symbol in _ALLEN else float(Element(symbol).X)


def ordered(counts: Counts) -> list[tuple[str, int]]:
    """Elements and numbers of atoms, the least electronegative first."""
    return sorted(counts.items(), key=lambda item: (_electronegativity(item[0]), item[0]))


@cache
def _properties(symbol: str) -> str:
    element = Element(symbol)
    pull = _ALLEN.get(symbol) or f"{_electronegativity(symbol):.4f}"
    radius = _VAN_DER_WAALS.get(symbol) or f"{float(element.atomic_radius or 0):.4f}"
    return f"{symbol} {pull} {radius} {float(element.average_ionic_radius):.4f}\n"


def header(counts: Counts) -> str:
    """The text up to the space group: the cell's formula and what is known of its elements."""
    columns = ("symbol", "electronegativity", "radius", "ionic_radius")
    loop = "".join(["loop_\n", *(f"_atom_type_{column}\n" for column in columns)])
    formula = "".join(f"{symbol}{count}" for symbol, count in ordered(counts))
    return f"data_{formula}\n{loop}{''.join(_properties(symbol) for symbol, _ in ordered(counts))}"


def contents(group: int, counts: Counts, volume: float) -> str:
    """The text from the group's number to the first orbit; the volume in Å³."""
    reduced, units = Composition(dict(counts)).get_reduced_formula_and_factor()
    total = " ".join(f"{symbol}{count}" for symbol, count in ordered(counts))
    fields = {
        "_symmetry_Int_Tables_number": f"{group}",
        "_chemical_formula_structural": reduced,
        "_chemical_formula_sum": f"'{total}'" if " " in total else total,
        "_cell_volume": f"{volume:.4f}",
        "_cell_formula_units_Z": f"{units:g}",
    }
    return "".join(f"{key}{_gap(key, value)}{value}\n" for key, value in fields.items()) + _OPERATIONS + _ATOMS


def _gap(key: str, value: str) -> str:
    return " " if len(key) + len(value) + 3 < WIDTH else "\n"
