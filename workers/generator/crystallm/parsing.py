"""From CIF text back to the crystal."""

import re
from functools import cache

import numpy as np
import numpy.typing as npt
import spglib
from pymatgen.core import Composition, Lattice

from workers.crystals import LENGTHS as EDGES
from workers.crystals import Crystal, from_arrays
from workers.errors import CrystalError
from workers.generator.crystallm.cif import ANGLES, LENGTHS, NAME, Site, counted
from workers.generator.crystallm.orbits import orbit
from workers.generator.symmetry.unfolding import primitive_vectors
from workers.symbols import SYMBOLS

SAME = 1e-4  # fractional distance of two atoms that a centring makes one
SETTINGS = 530  # of all space groups
FLATTEST = 1e-4  # of the square of a cell's volume, of that of a box with the same edges
MOST_ATOMS = 500  # in a conventional cell
_SITE = tuple(f"_atom_site_{name}" for name in ("type_symbol", "symmetry_multiplicity"))
_POINT = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_OCCUPANCY = "_atom_site_occupancy"
_OPERATION = "_symmetry_equiv_pos_as_xyz"

Floats = npt.NDArray[np.float64]
Loop = list[dict[str, str]]


def read(text: str) -> Crystal:
    """The Niggli-reduced primitive cell that a text describes; raises CrystalError for one that describes none."""
    fields, loops = _parsed(text)
    group, lattice, sites = _group(fields), _lattice(fields), _sites(loops)
    orbits = [orbit(group, site, lattice.matrix) for site in sites]
    _check_formula(fields, counted(sites))
    species = [site.element for site, points in zip(sites, orbits, strict=True) for _ in points]
    vectors = primitive_vectors(group)
    points = np.concatenate(orbits) @ np.linalg.inv(vectors)
    kept = _one_of_each(points)
    return _niggli(vectors @ lattice.matrix, [species[index] for index in kept], points[kept])


def _niggli(vectors: Floats, species: list[str], points: Floats) -> Crystal:
    """The same crystal in its Niggli cell, or as it is where spglib finds none."""
    reduced = spglib.niggli_reduce(vectors)
    turn = np.eye(3) if reduced is None else np.rint(np.asarray(reduced) @ np.linalg.inv(vectors))
    moved = np.round(points @ np.linalg.inv(turn), 9) % 1.0
    return from_arrays(Lattice(turn @ vectors).parameters, species, moved)


def _one_of_each(points: Floats) -> list[int]:
    """The first of all points that differ by whole cells."""
    apart = points[:, None] - points
    same = (np.abs(apart - np.rint(apart)) < SAME).all(axis=2)
    return np.flatnonzero(same.argmax(axis=1) == np.arange(len(points))).tolist()


def _parsed(text: str) -> tuple[dict[str, str], list[Loop]]:
    """The single fields of a text, and its loops line by line."""
    fields: dict[str, str] = {}
    loops: list[Loop] = []
    names: list[str] | None = None
    words = re.findall(r"'[^'\n]*'|\S+", text)
    while words:
        word = words.pop(0)
        if word == "loop_":
            names = []
            loops.append([])
        elif word.startswith("_") and names is not None and not loops[-1]:
            names.append(word)
        elif word.startswith(("_", "data_")):
            names = None
            if word.startswith("_") and words:
                fields[word] = words.pop(0).strip("'")
        elif names:
            values = [word, *words[: len(names) - 1]]
            del words[: len(names) - 1]
            loops[-1].append(dict(zip(names, values, strict=False)))
    return fields, loops


@cache
def group_numbers() -> dict[str, int]:
    """Numbers of the space groups by the short symbol of their standard setting, the first in spglib's table."""
    found: dict[int, str] = {}
    for setting in range(1, SETTINGS + 1):
        kind = spglib.get_spacegroup_type(setting)
        assert kind is not None
        found.setdefault(kind.number, kind.international_short)
    return {name: number for number, name in found.items()}


def _group(fields: dict[str, str]) -> int:
    name = fields.get(NAME, "").replace(" ", "")
    if name not in group_numbers():
        raise CrystalError(f"in space group {name!r}", "no such space group")
    return group_numbers()[name]


def _number(text: str | None) -> float:
    found = re.fullmatch(r"(-?\d+(?:\.\d*)?|-?\.\d+)(?:\(\d+\))?", text or "")
    if found is None:
        raise CrystalError(f"with {text!r}", "a number is expected")
    return float(found[1])


def _lattice(fields: dict[str, str]) -> Lattice:
    lengths, angles = ([_number(fields.get(key)) for key in keys] for keys in (LENGTHS, ANGLES))
    cosines = np.cos(np.radians(angles))
    sane = EDGES[0] <= min(lengths) and max(lengths) <= EDGES[1]
    if not sane or not 1 - (cosines**2).sum() + 2 * cosines.prod() > FLATTEST:
        raise CrystalError(f"with edges {lengths} Å and angles {angles}°", "no such cell is expected")
    return Lattice.from_parameters(*lengths, *angles)


def _sites(loops: list[Loop]) -> list[Site]:
    if any(len(loop) > 1 for loop in loops if loop and _OPERATION in loop[0]):
        raise CrystalError("with a list of operations", "the identity is expected, the symbol says the others")
    lines = [line for loop in loops if loop and _SITE[0] in loop[0] for line in loop]
    sites = [_site(line) for line in lines]
    if not sites or sum(site.multiplicity for site in sites) > MOST_ATOMS:
        raise CrystalError("with atom sites", f"1 to {MOST_ATOMS} atoms are expected in a cell")
    return sites


def _site(line: dict[str, str]) -> Site:
    element, multiplicity = (line.get(key, "") for key in _SITE)
    if element not in SYMBOLS:
        raise CrystalError(f"with a site of {element!r}", "no such element")
    if not multiplicity.isascii() or not multiplicity.isdigit():
        raise CrystalError(f"with a multiplicity of {multiplicity!r}", "a whole number is expected")
    if _number(line.get(_OCCUPANCY, "1")) != 1.0:
        raise CrystalError(f"with an occupancy of {line[_OCCUPANCY]}", "an ordered structure is expected")
    x, y, z = (_number(line.get(key)) for key in _POINT)
    return Site(element, int(multiplicity), (x, y, z))


def _check_formula(fields: dict[str, str], counts: dict[str, int]) -> None:
    total = fields.get("_chemical_formula_sum")
    if total is None:
        return
    named = {symbol: int(count or 1) for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", total)}
    if named != counts:
        found = Composition(counts).formula
        raise CrystalError(f"of {total}", f"its sites make {found}")
