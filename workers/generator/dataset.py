"""Published structures as token rows, kept in one file of arrays that training reads."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import ase.data
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pymatgen.core import Element, Lattice

from workers.generator.grammar import ELEMENTS, MAX_ATOMS, rows, site_features
from workers.generator.orbits import encode

FILE = "tokens.npz"
MAX_ROWS = 96
PARTS = ("train", "val", "test", "extra")
COLUMNS_READ = ["formula", "nsites", "lattice", "species", "frac_coords"]

Task = tuple[int, list[float], list[int], list[float]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Rows of all crystals one after the other, where each begins, and the part of the data it belongs to."""

    rows: npt.NDArray[np.int16]  # (R, COLUMNS)
    starts: npt.NDArray[np.int64]  # (n + 1,)
    part: npt.NDArray[np.int8]  # (n,)


def _encoded(task: Task) -> tuple[int, npt.NDArray[np.int16] | None]:
    part, lattice, species, coords = task
    vectors = np.asarray(Lattice.from_parameters(*lattice).matrix)
    crystal = encode(vectors, np.asarray(species), np.asarray(coords, dtype=np.float64).reshape(-1, 3))
    if crystal is None:
        return part, None
    table = rows(crystal)
    return part, table if len(table) <= MAX_ROWS else None


def _mp20(data: Path) -> tuple[list[Task], set[str], set[str]]:
    """Tasks of MP-20, the formulas of its held-out parts, and the ids of all its rows."""
    table = pq.read_table(data / "mp20.parquet", columns=["material_id", "split", *COLUMNS_READ])
    tasks: list[Task] = []
    held_out: set[str] = set()
    for item in table.to_pylist():
        if item["split"] != "train":
            held_out.add(item["formula"])
        if item["frac_coords"] is not None:
            tasks.append((PARTS.index(item["split"]), item["lattice"], item["species"], item["frac_coords"]))
    return tasks, held_out, set(table["material_id"].to_pylist())


def _extra(data: Path, held_out: set[str], known: set[str]) -> Iterator[Task]:
    """Later structures of the Materials Project whose formula is not held out."""
    table = pq.read_table(data / "mp2025_structures.parquet", columns=["material_id", *COLUMNS_READ])
    table = table.filter(pc.less_equal(table["nsites"], MAX_ATOMS))
    for item in table.to_pylist():
        if item["formula"] not in held_out and item["material_id"] not in known:
            yield PARTS.index("extra"), item["lattice"], item["species"], item["frac_coords"]


def build(data: Path, work: Path, processes: int = 2) -> Tokens:
    """Encode MP-20 and what else may be learnt from; raises FileNotFoundError where a table is missing."""
    tasks, held_out, known = _mp20(data)
    tasks.extend(_extra(data, held_out, known))
    tables, parts, failed = [], [], 0
    with ProcessPoolExecutor(processes) as pool:
        for done, (part, table) in enumerate(pool.map(_encoded, tasks, chunksize=256)):
            if done % 5000 == 0:
                print(f"{done} of {len(tasks)} structures, {failed} left out", flush=True)
            if table is None:
                failed += 1
                continue
            tables.append(table)
            parts.append(part)
    starts = np.cumsum([0, *map(len, tables)])
    tokens = Tokens(np.concatenate(tables), starts, np.array(parts, dtype=np.int8))
    np.savez_compressed(
        work / FILE, rows=tokens.rows, starts=starts, part=tokens.part,
        element_features=element_features(), radii=covalent_radii(), site_features=site_features(),
    )  # fmt: skip
    print(f"{len(parts)} structures, {failed} left out, {np.bincount(parts).tolist()} by part {PARTS}")
    return tokens


def load(work: Path) -> Tokens:
    with np.load(work / FILE) as arrays:
        return Tokens(arrays["rows"], arrays["starts"], arrays["part"])


def covalent_radii() -> npt.NDArray[np.float32]:
    """Covalent radii in Å by atomic number (Cordero et al., Dalton Trans. 2008, as in ase): (ELEMENTS,)."""
    return np.asarray(ase.data.covalent_radii[:ELEMENTS], dtype=np.float32)


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
