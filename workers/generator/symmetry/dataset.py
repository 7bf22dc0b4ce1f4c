"""Published structures as token rows, kept in one file of arrays that training reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import ase.data
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pymatgen.core import Element, Lattice

from workers.generator.conditions import CONDITIONS, scaled
from workers.generator.corpus import covalent_radii, encoded_all
from workers.generator.symmetry.grammar import formula_of, proposal_rows, rows, site_features
from workers.generator.symmetry.orbits import encode
from workers.generator.symmetry.tokens import PARTS, Tokens, save
from workers.generator.symmetry.vocabulary import (
    ANY_STABILITY,
    CONDITION_AT,
    ELEMENTS,
    GROUP_AT,
    LEVELS,
    NEAR_HULL,
    Column,
    Role,
)
from workers.hhi import hhi

MAX_ROWS = 160
READ = ["material_id", "formula", "nsites", "lattice", "species", "frac_coords", "density"]
SCOPES = ("mp20", "product")  # MP-20 alone; with later structures, less every formula that MPTS-52 holds out

Labels = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Task:
    """A published crystal: the part of the data it belongs to, its cell, and what is known of it."""

    part: int
    lattice: list[float]
    species: list[int]
    coords: list[float]
    labels: Labels


@dataclass(frozen=True, slots=True)
class Encoded:
    """A crystal as rows, the proposal of its formula, and the values of its conditions."""

    part: int
    rows: npt.NDArray[np.int16]
    proposal: npt.NDArray[np.int16]
    wanted: list[int]


def condition_values(labels: Labels, group: int) -> list[int]:
    """Places in the table of values of all conditions and the space group, -1 where unknown."""
    found = []
    for index, condition in enumerate(CONDITIONS):
        value = labels.get(condition.name)
        known = value is not None and condition.low <= value <= condition.high
        level = min(int(scaled(condition.name, value) * LEVELS), LEVELS - 1) if known and value is not None else 0
        found.append(CONDITION_AT + LEVELS * index + level if known else -1)
    return [*found, GROUP_AT + group]


def encoded(task: Task) -> Encoded | None:
    """The crystal's rows; None where the grammar cannot hold it."""
    vectors = np.asarray(Lattice.from_parameters(*task.lattice).matrix)
    coords = np.asarray(task.coords, dtype=np.float64).reshape(-1, 3)
    crystal = encode(vectors, np.asarray(task.species), coords)
    if crystal is None:
        return None
    cell, table = formula_of(crystal), rows(crystal)
    if len(table) > MAX_ROWS or len(cell) > 8:
        return None
    units = gcd(*(count for _, count in cell))
    proposal = proposal_rows([(number, count // units) for number, count in cell])
    _start(table, task.part)
    _start(proposal, task.part)
    return Encoded(task.part, table, proposal, condition_values(task.labels, crystal.group))


def _start(table: npt.NDArray[np.int16], part: int) -> None:
    """Tell crystals near the convex hull from those of any stability, so that a request is answered by the former."""
    start = np.isin(table[:, Column.ROLE], (Role.START, Role.PROPOSE))
    table[start, Column.VALUE] = ANY_STABILITY if PARTS[part] == "extra" else NEAR_HULL


def _task(part: str, item: dict[str, object], labels: Labels) -> Task:
    lattice, species, coords = item["lattice"], item["species"], item["frac_coords"]
    formula = str(item["formula"])
    known = {"density": item["density"], "hhi": hhi(formula), **labels}
    return Task(PARTS.index(part), lattice, species, coords, known)  # type: ignore[arg-type]


def _mp20(data: Path, spared: set[str]) -> Iterator[Task]:
    """MP-20's training and validation structures, but for training on formulas that another test holds out."""
    names = {"band_gap": "band_gap", "magnetization_density": "mag_density", "bulk_modulus": "bulk_modulus"}
    table = pq.read_table(data / "mp20.parquet", columns=["split", *READ, *names.values()])
    for item in table.to_pylist():
        wanted = item["split"] == "val" or (item["split"] == "train" and item["formula"] not in spared)
        if wanted and item["frac_coords"] is not None:
            yield _task(item["split"], item, {name: item[column] for name, column in names.items()})


def _extra(data: Path, held_out: set[str]) -> Iterator[Task]:
    """Later structures of the Materials Project whose formula no test holds out."""
    known = set(pq.read_table(data / "mp20.parquet", columns=["material_id"])["material_id"].to_pylist())
    table = pq.read_table(data / "mp2025_structures.parquet", columns=[*READ, "band_gap_mp2018"])
    for item in table.to_pylist():
        if item["formula"] not in held_out and item["material_id"] not in known:
            yield _task("extra", item, {"band_gap": item["band_gap_mp2018"]})


def held_out_formulas(data: Path) -> tuple[set[str], set[str]]:
    """Formulas of the validation and test sets of MP-20, and of MPTS-52."""
    mp20 = pq.read_table(data / "mp20.parquet", columns=["formula", "split"])
    mp20 = mp20.filter(pc.not_equal(mp20["split"], "train"))
    mpts52 = pq.read_table(data / "mpts52.parquet", columns=["formula"])
    return set(mp20["formula"].to_pylist()), set(mpts52["formula"].to_pylist())


def prepare(data: Path, work: Path, scope: str = "product", processes: int = 2) -> None:
    """Encode MP-20 alone or with later structures of other formulas; raises FileNotFoundError without a table."""
    mp20, mpts52 = held_out_formulas(data)
    tasks = list(_mp20(data, mpts52 if scope == "product" else set()))
    tasks += [] if scope == "mp20" else list(_extra(data, mp20 | mpts52))
    found = [table for table in encoded_all(encoded, tasks, processes) if table is not None]
    features = {"element_features": element_features(), "site_features": site_features()}
    save(work, _joined(found), scope=np.array(scope), radii=covalent_radii(ELEMENTS), **features)
    parts = np.bincount([table.part for table in found], minlength=len(PARTS)).tolist()
    print(f"{len(found)} structures, {len(tasks) - len(found)} left out, {parts} by part {PARTS}")


def _joined(found: list[Encoded]) -> Tokens:
    return Tokens(
        rows=np.concatenate([table.rows for table in found]),
        starts=np.cumsum([0, *(len(table.rows) for table in found)]),
        proposals=np.concatenate([table.proposal for table in found]),
        proposal_starts=np.cumsum([0, *(len(table.proposal) for table in found)]),
        wanted=np.array([table.wanted for table in found], dtype=np.int16),
        part=np.array([table.part for table in found], dtype=np.int8),
    )


def element_features() -> npt.NDArray[np.float32]:
    """Period, group, block, electronegativity, radii and mass of each element, scaled to about 1: (ELEMENTS, 14)."""
    table = np.zeros((ELEMENTS, 14), dtype=np.float32)
    for number in range(1, 104):
        element = Element.from_Z(number)
        chi = float(element.data.get("X") or 0.0)  # the attribute warns where there is none
        radius = float(element.atomic_radius or ase.data.covalent_radii[number])
        block = [element.block == name for name in "spdf"]
        flags = [
            element.is_metal,
            element.is_metalloid,
            element.is_halogen,
            element.is_lanthanoid or element.is_actinoid,
        ]
        scalars = [
            element.row / 4,
            element.group / 9,
            chi / 2,
            radius,
            float(ase.data.covalent_radii[number]),
            number / 50,
        ]
        table[number] = [*scalars, *block, *flags]
    return table
