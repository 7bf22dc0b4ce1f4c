"""Known phases on one energy scale, from the published tables: the hull that a structure is judged against."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from pymatgen.core import Element

from workers.compositions import parse_formula
from workers.errors import InvalidFormula
from workers.hulls import Hull

ELEMENTS = 104  # columns of a table of atomic fractions, by atomic number
ROUNDS = 12  # of reweighting; the fit has settled after about eight
SHARPNESS = 0.005  # eV/atom: smaller deviations weigh as this one
RIDGE = 0.1


def read_phases(data: Path) -> dict[str, float]:
    """The lowest known formation energy of each formula that can be part of the hull, in eV/atom on MP-20's scale:
    MP-20's own (all are within 0.08 eV/atom of the hull), and the stable rows of the stability table, corrected."""
    stable = pq.read_table(data / "mp_stability.parquet", filters=[("decomposition_energy_per_atom", "<=", 0.0)])
    shifts = fit_shifts(data)
    names = stable["reduced_formula"].to_pylist()
    energies = np.asarray(stable["formation_energy_per_atom"]) + np.array([shift(name, shifts) for name in names])
    own = pq.read_table(data / "mp20.parquet", columns=["formula", "formation_energy_per_atom"])
    published = lowest(own["formula"].to_pylist(), own["formation_energy_per_atom"].to_pylist())
    return {**lowest(names, energies.tolist()), **published}


def lowest(formulas: Iterable[str], energies: Iterable[float]) -> dict[str, float]:
    """The lowest energy by formula; elements and formulas that cannot be parsed are left out."""
    found: dict[str, float] = {}
    for formula, energy in zip(formulas, energies, strict=True):
        if len(atomic_fractions(formula)) > 1:
            name = canonical(formula)
            found[name] = min(energy, found.get(name, energy))
    return found


def fit_shifts(data: Path) -> np.ndarray:
    """What each element's atom adds, in eV, from the Materials Project's 2018 energy scale to MP-20's: least absolute
    deviations over the training materials that are in both. The scales differ in their anion corrections."""
    later = pq.read_table(
        data / "mp2025_structures.parquet",
        columns=["material_id", "e_form_mp2018"],
        filters=[("mp20_split", "=", "train")],
    ).to_pylist()
    own = pq.read_table(data / "mp20.parquet", columns=["material_id", "formula", "formation_energy_per_atom"])
    known = {row["material_id"]: row for row in own.to_pylist()}
    pairs = [(known[row["material_id"]], row["e_form_mp2018"]) for row in later if row["e_form_mp2018"] is not None]
    fractions = np.stack([dense(row["formula"]) for row, _ in pairs])
    gaps = np.array([row["formation_energy_per_atom"] - earlier for row, earlier in pairs])
    return least_deviations(fractions, gaps)


def least_deviations(fractions: np.ndarray, gaps: np.ndarray, ridge: float = RIDGE, rounds: int = ROUNDS) -> np.ndarray:
    """What each element's atom adds, in eV, to explain gaps (n) in eV/atom by atomic fractions (n, 104) with the least
    absolute deviations; the ridge keeps an atom that few rows tell of near zero."""
    shifts, weights = np.zeros(ELEMENTS), np.ones(len(gaps))
    for _ in range(rounds):
        weighted = fractions * weights[:, None]
        shifts = np.linalg.solve(weighted.T @ fractions + ridge * np.eye(ELEMENTS), weighted.T @ gaps)
        weights = 1 / np.maximum(np.abs(gaps - fractions @ shifts), SHARPNESS)
    return shifts


def shift(formula: str, shifts: np.ndarray) -> float:
    """What the elements' shifts add to the formation energy of a formula, in eV/atom."""
    return sum(share * float(shifts[z]) for z, share in atomic_fractions(formula).items())


def build_hull(phases: Mapping[str, float]) -> Hull:
    """The hull of phases given by formula."""
    rows = [atomic_fractions(formula) for formula in phases]
    width = max(len(row) for row in rows)
    numbers, fractions = np.zeros((len(rows), width), dtype=np.int16), np.zeros((len(rows), width), dtype=np.float32)
    for i, row in enumerate(rows):
        numbers[i, : len(row)] = list(row)
        fractions[i, : len(row)] = list(row.values())
    return Hull(numbers, fractions, np.array(list(phases.values()), dtype=np.float32))


def dense(formula: str) -> np.ndarray:
    """Atomic fractions by atomic number (104)."""
    row = np.zeros(ELEMENTS)
    for z, share in atomic_fractions(formula).items():
        row[z] = share
    return row


@cache
def canonical(formula: str) -> str:
    """The canonical formula; as it stands where it cannot be parsed."""
    try:
        return parse_formula(formula).formula
    except InvalidFormula:
        return formula


@cache
def atomic_fractions(formula: str) -> dict[int, float]:
    """Atomic fractions by atomic number; empty where the formula cannot be parsed."""
    try:
        composition = parse_formula(formula)
    except InvalidFormula:
        return {}
    amounts = zip(composition.elements, composition.amounts, strict=True)
    return {int(Element(symbol).Z): amount / composition.atoms for symbol, amount in amounts}
