"""Labels of compositions, gathered from the published tables."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from workers.compositions import SUPPORTED
from workers.errors import InvalidFormula
from workers.predictors.elements import element_table
from workers.predictors.table import LONGEST, MASK, SPLITS, TASKS, Table
from workers.predictors.tokens import identity, read_amounts, split_of

_RAREST = 20  # compositions of the training split that an element must occur in to be known
_OQMD = ("oqmd_gap", "oqmd_enthalpy", "oqmd_volume")
_OF_GROUND_STATES = {
    "matbench_mp_gap": "band_gap",
    "matbench_log_kvrh": "log_bulk_modulus",
    "matbench_log_gvrh": "log_shear_modulus",
}
_RANGE = {"oqmd_enthalpy": (-6.0, 6.0), "oqmd_volume": (3.0, 100.0), "decomposition_energy": (-0.5, 2.0)}


class _Rows:
    """Compositions by identity, gathered from many tables."""

    def __init__(self) -> None:
        self.amounts: dict[str, dict[str, float]] = {}
        self.labels: dict[str, dict[str, float]] = defaultdict(dict)
        self._seen: dict[str, str | None] = {}

    def add(self, formula: str) -> str | None:
        """The identity of a formula; None where it spells no composition or one of too many elements."""
        if formula not in self._seen:
            self._seen[formula] = self._read(formula)
        return self._seen[formula]

    def _read(self, formula: str) -> str | None:
        try:
            amounts = read_amounts(formula.replace(" ", ""))
        except InvalidFormula:
            return None
        if len(amounts) > LONGEST or not set(amounts) <= set(SUPPORTED):
            return None
        name = identity(amounts)
        self.amounts.setdefault(name, amounts)
        return name

    def lowest(self, name: str | None, task: str, value: float) -> None:
        """Keep a label if it is the lowest of its composition."""
        if name is not None and value == value:
            low, high = _RANGE.get(task, (-np.inf, np.inf))
            labels = self.labels[name]
            labels[task] = min(labels.get(task, np.inf), max(low, min(high, value)))


def gather(data: Path) -> Table:
    """All compositions of the data folder with their labels.

    A label belongs to the ground state: the lowest formation energy among polymorphs, and that polymorph's gap
    and moduli.
    """
    rows = _Rows()
    _formation(rows, data)
    _ground_states(rows, data)
    _stability(rows, data)
    _oqmd(rows, data)
    for name in ("mp2025_formulas", "mp20"):
        for (formula,) in _read(data, name, "formula"):
            rows.add(str(formula))
    return _table(rows)


def _read(data: Path, name: str, *columns: str) -> Iterator[tuple[object, ...]]:
    table = pq.read_table(data / f"{name}.parquet", columns=list(columns))
    return zip(*(table[column].to_pylist() for column in columns), strict=True)


def _formation(rows: _Rows, data: Path) -> None:
    for formula, energy in _read(data, "matbench_mp_e_form", "composition", "target"):
        rows.lowest(rows.add(str(formula)), "formation_energy_per_atom", float(str(energy)))


def _ground_states(rows: _Rows, data: Path) -> None:
    """Labels of the polymorph of lowest formation energy; the tables share cell formula and space group."""
    energies: dict[tuple[object, object], float] = {}
    for formula, group, energy in _read(data, "matbench_mp_e_form", "composition", "spacegroup_number", "target"):
        energies[formula, group] = min(energies.get((formula, group), np.inf), float(str(energy)))
    for table, task in _OF_GROUND_STATES.items():
        best: dict[str, tuple[float, float]] = {}
        for formula, group, value in _read(data, table, "composition", "spacegroup_number", "target"):
            name = rows.add(str(formula))
            if name is not None:
                found = energies.get((formula, group), np.inf), float(str(value))
                best[name] = min(best.get(name, found), found)
        for name, (_, value) in best.items():
            rows.labels[name][task] = value


def _stability(rows: _Rows, data: Path) -> None:
    columns = ("formula", "formation_energy_per_atom", "decomposition_energy_per_atom")
    for formula, energy, decomposition in _read(data, "mp_stability", *columns):
        name = rows.add(str(formula))
        rows.lowest(name, "decomposition_energy", float(str(decomposition)))
        rows.lowest(name, "formation_energy_per_atom", float(str(energy)))


def _oqmd(rows: _Rows, data: Path) -> None:
    columns = ("formula", "bandgap", "formation_enthalpy", "volume_per_atom")
    for formula, *values in _read(data, "oqmd_composition", *columns):
        name = rows.add(str(formula))
        for task, value in zip(_OQMD, values, strict=True):
            rows.lowest(name, task, float(str(value)) if value is not None else float("nan"))


def _table(rows: _Rows) -> Table:
    names = sorted(rows.amounts)
    splits = np.array([SPLITS.index(split_of(name)) for name in names], dtype=np.int8)
    elements = _vocabulary(rows, names, splits)
    number = {symbol: place for place, symbol in enumerate(elements, start=1)}
    known = [place for place, name in enumerate(names) if set(rows.amounts[name]) <= set(elements)]
    numbers = np.full((len(known), LONGEST), MASK, dtype=np.int16)
    shares = np.zeros((len(known), LONGEST), dtype=np.float32)
    labels = np.full((len(known), len(TASKS)), np.nan, dtype=np.float32)
    for row, place in enumerate(known):
        amounts = rows.amounts[names[place]]
        ordered = sorted(amounts, key=number.__getitem__)
        total = sum(amounts.values())
        numbers[row, : len(ordered)] = [number[symbol] for symbol in ordered]
        shares[row, : len(ordered)] = [amounts[symbol] / total for symbol in ordered]
        labels[row] = [rows.labels[names[place]].get(task, np.nan) for task in TASKS]
    kept = np.array(names)[known]
    return Table(elements, element_table(elements).astype(np.float32), numbers, shares, labels, splits[known], kept)


def _vocabulary(rows: _Rows, names: list[str], splits: np.ndarray) -> tuple[str, ...]:
    counts = dict.fromkeys(SUPPORTED, 0)
    for name, split in zip(names, splits, strict=True):
        if split == 0 and "decomposition_energy" in rows.labels[name]:
            for symbol in rows.amounts[name]:
                counts[symbol] += 1
    return tuple(symbol for symbol, count in counts.items() if count >= _RAREST)
