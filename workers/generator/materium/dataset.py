"""Published structures as atoms on a grid, kept in one file of arrays that training reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pymatgen.core import Element, Lattice

from workers.generator.conditions import CONDITIONS, scaled
from workers.generator.corpus import covalent_radii, encoded_all
from workers.generator.materium.canonical import canonical
from workers.generator.materium.tables import PARTS, Crystals, save
from workers.generator.materium.tokens import ANGLE, ELEMENTS, HEAVIEST, LENGTH
from workers.hhi import hhi
from workers.oxidation import likely_states, oxidation_states

COLUMNS = {"band_gap": "band_gap", "magnetization_density": "mag_density", "bulk_modulus": "bulk_modulus"}
READ = ["split", "formula", "lattice", "species", "frac_coords", "density", "spacegroup_number", *COLUMNS.values()]

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One crystal's atoms, cell and labels."""

    numbers: npt.NDArray[np.int64]
    states: list[int]
    points: npt.NDArray[np.int64]
    cell: list[int]
    group: int
    wanted: list[float]
    part: int


def encoded(item: Item) -> Encoded:
    """A published crystal in its canonical form."""
    vectors = np.asarray(Lattice.from_parameters(*item["lattice"]).matrix)
    coords = np.asarray(item["frac_coords"], dtype=np.float64).reshape(-1, 3)
    numbers, points = canonical(vectors, np.asarray(item["species"], dtype=np.int64), coords)
    cell = [*LENGTH.bins(item["lattice"][:3]).tolist(), *ANGLE.bins(item["lattice"][3:]).tolist()]
    labels = {name: item[column] for name, column in COLUMNS.items()}
    labels |= {"density": item["density"], "hhi": hhi(item["formula"])}
    wanted = [_label(condition.name, labels[condition.name]) for condition in CONDITIONS]
    group = int(item["spacegroup_number"] or 0)
    return Encoded(numbers, _states(numbers), points, cell, group, wanted, PARTS.index(item["split"]))


def _label(name: str, value: float | None) -> float:
    known = value is not None and np.isfinite(value) and value > -1e-6
    return scaled(name, float(value)) if known and value is not None else float("nan")


def _states(numbers: npt.NDArray[np.int64]) -> list[int]:
    """One likely oxidation state for each atom; 0 where no choice is neutral."""
    elements, amounts = np.unique(numbers, return_counts=True)
    symbols = tuple(str(Element.from_Z(int(z)).symbol) for z in elements)
    units = int(np.gcd.reduce(amounts))
    found = likely_states(symbols, tuple((amounts // units).tolist())) if len(elements) > 1 else None
    states = dict(zip(elements.tolist(), found or [0] * len(elements), strict=True))
    return [states[z] for z in numbers.tolist()]


def species_table() -> npt.NDArray[np.int8]:
    """Atomic number and oxidation state of every species, sorted: (S, 2).

    Common states by pymatgen, all of them where none is common, those of the neutral choices, and none.
    """
    rows = []
    for number in range(1, HEAVIEST + 1):
        element = Element.from_Z(number)
        states = {*(element.common_oxidation_states or element.oxidation_states), 0}
        rows += [(number, state) for state in sorted(states | set(oxidation_states().get(str(element.symbol), ())))]
    return np.array(rows, dtype=np.int8)


def prepare(data: Path, work: Path, processes: int = 2) -> None:
    """Encode the training and validation structures of MP-20; raises FileNotFoundError where the table is missing."""
    items = pq.read_table(data / "mp20.parquet", columns=READ).to_pylist()
    items = [item for item in items if item["split"] in PARTS and item["frac_coords"] is not None]
    crystals = joined(encoded_all(encoded, items, processes))
    save(work, crystals)
    print(f"{len(crystals)} structures, {np.bincount(crystals.part).tolist()} by part {PARTS}")


def joined(found: list[Encoded]) -> Crystals:
    return Crystals(
        numbers=np.concatenate([x.numbers for x in found]).astype(np.int16),
        states=np.concatenate([x.states for x in found]).astype(np.int8),
        points=np.concatenate([x.points for x in found]).astype(np.int16),
        starts=np.cumsum([0, *(len(x.numbers) for x in found)]),
        cells=np.array([x.cell for x in found], dtype=np.int16),
        groups=np.array([x.group for x in found], dtype=np.int16),
        wanted=np.array([x.wanted for x in found], dtype=np.float32),
        part=np.array([x.part for x in found], dtype=np.int8),
        species=species_table(),
        radii=covalent_radii(ELEMENTS),
    )
