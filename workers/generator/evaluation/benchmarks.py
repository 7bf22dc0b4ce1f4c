"""Benchmarks: structures that were held out, and those that are known."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pymatgen.core import Element

from workers.compositions import from_amounts
from workers.crystals import Crystal, from_arrays
from workers.errors import UserError

LARGEST = {"mp20": 20, "mpts52": 52}  # atoms in a cell, by benchmark; tables are named alike
STRUCTURE = ["formula", "split", "lattice", "species", "frac_coords"]
CHOICE = 20  # seed of the order in which held-out structures are taken

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A held-out structure, its formula and the formula units in its cell."""

    crystal: Crystal
    formula: str
    units: int


def held_out(data: Path, count: int, split: str = "test", benchmark: str = "mp20") -> list[Target]:
    """The first so many of one split's structures in a fixed random order; all of them for a count of 0."""
    return [to_target(row) for row in held_out_rows(data, split, benchmark)[: count or None]]


def held_out_rows(data: Path, split: str, benchmark: str = "mp20", columns: Sequence[str] = ()) -> list[Row]:
    """One split's structures in a fixed random order as rows of the benchmark's table, with more of its columns."""
    rows = _rows(data / f"{benchmark}.parquet", [*STRUCTURE, *columns])
    items = [item for item in rows if item["split"] == split]
    if not items:
        raise UserError(f"split {split!r}: {benchmark} has none; val or test is expected")
    return [items[i] for i in np.random.default_rng(CHOICE).permutation(len(items))]


def train_formulas(data: Path) -> set[str]:
    """The reduced formulas in MP-20's train split, those whose structure has no coordinates included."""
    return {row["formula"] for row in _rows(data / "mp20.parquet", ["formula", "split"]) if row["split"] == "train"}


def known(data: Path, formulas: Collection[str]) -> tuple[dict[str, list[Crystal]], dict[str, list[Crystal]]]:
    """Structures of these reduced formulas: those in MP-20's train split, and those in all of MP-20 and the later
    Materials Project."""
    train: dict[str, list[Crystal]] = {}
    every: dict[str, list[Crystal]] = {}
    later = data / "mp2025_structures.parquet"
    rows = _rows(data / "mp20.parquet", STRUCTURE)
    rows += _rows(later, [name for name in STRUCTURE if name != "split"]) if later.exists() else []
    for row in rows:
        if row["formula"] not in formulas or row["frac_coords"] is None:
            continue
        crystal = _crystal(row)
        every.setdefault(crystal.formula, []).append(crystal)
        if row.get("split") == "train":
            train.setdefault(crystal.formula, []).append(crystal)
    return train, every


def _rows(path: Path, columns: list[str]) -> list[Row]:
    try:
        table: list[Row] = pq.read_table(path, columns=columns).to_pylist()
    except OSError as exc:
        raise UserError(f"{path}: cannot be read; a folder with the published tables is expected") from exc
    return table


def _crystal(row: Row) -> Crystal:
    species = [str(Element.from_Z(int(z)).symbol) for z in row["species"]]
    return from_arrays(row["lattice"], species, np.asarray(row["frac_coords"], dtype=np.float64).reshape(-1, 3))


def to_target(row: Row) -> Target:
    """The held-out structure of a table's row."""
    crystal = _crystal(row)
    composition = from_amounts({symbol: crystal.species.count(symbol) for symbol in set(crystal.species)})
    return Target(crystal, composition.formula, round(len(crystal.species) / composition.atoms))
