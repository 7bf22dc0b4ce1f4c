"""The structure predictor's training table, from the published ones: features, labels and competing phases by row."""

from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pymatgen.core import Element

from workers.crystals import Crystal, from_arrays
from workers.errors import CrystalError
from workers.hulls import Hull
from workers.judge_features import features
from workers.judge_scores import SPLITS, Arrays
from workers.known_phases import atomic_fractions, build_hull, canonical, fit_shifts, read_phases, shift
from workers.potentials import Potential

CHUNK = 1024
LARGEST = 20  # atoms, as in MP-20
TABLE, PHASES = "table.npz", "phases.npz"
SOURCES = ("exact", "mp_same_cell", "mp_mapped")
STRUCTURE = ("formula", "species", "lattice", "frac_coords")
LABELS = ("formation_energy_per_atom", "band_gap", "e_above_hull")


def prepare(data: Path, work: Path) -> None:
    """Write the known phases, the features in chunks that outlive an interruption, and the table that joins them."""
    work.mkdir(parents=True, exist_ok=True)
    phases = read_phases(data)
    write_phases(work / PHASES, build_hull(phases))
    rows = pa.concat_tables([read_mp20(data), read_polymorphs(data)])
    write_features(work, rows)
    write_table(work, rows, phases)


def read_mp20(data: Path) -> pa.Table:
    """The MP-20 rows with coordinates whose formula can be parsed."""
    table = pq.read_table(data / "mp20.parquet", columns=[*STRUCTURE, *LABELS, "split", "coords_source"])
    table = table.filter(pc.is_in(table["coords_source"].cast(pa.string()), pa.array(SOURCES)))
    table = table.filter(pa.array([bool(atomic_fractions(name)) for name in _names(table)]))
    split = pc.index_in(table["split"].cast(pa.string()), pa.array(SPLITS))
    return table.select([*STRUCTURE, *LABELS]).append_column("split", split)


def read_polymorphs(data: Path) -> pa.Table:
    """Materials outside MP-20, of at most 20 atoms, with a published formation energy, most of them farther above the
    hull, on MP-20's energy scale; those of a formula that MP-20 holds out are left out."""
    table = pq.read_table(
        data / "mp2025_structures.parquet",
        columns=[*STRUCTURE, "e_form_mp2018", "band_gap_mp2018"],
        filters=pc.is_null(pc.field("mp20_split"))
        & pc.is_valid(pc.field("e_form_mp2018"))
        & (pc.field("nsites") <= LARGEST),
    )
    published = read_splits(data)
    wanted = [bool(atomic_fractions(name)) and published.get(name) in (None, "train") for name in _names(table)]
    table = table.filter(pa.array(wanted))
    shifts = fit_shifts(data)
    moved = pa.array([shift(name, shifts) for name in _names(table)])
    labels = (pc.add(table["e_form_mp2018"], moved), table["band_gap_mp2018"], pa.nulls(len(table), pa.float64()))
    split = [SPLITS.index(outside_split(name, published)) for name in _names(table)]
    table = table.select(list(STRUCTURE))
    for name, column in zip(LABELS, labels, strict=True):
        table = table.append_column(name, column)
    return table.append_column("split", pa.array(split, pa.int32()))


def read_splits(data: Path) -> dict[str, str]:
    """MP-20's split by canonical formula; a formula in several belongs to the one that is held out."""
    table = pq.read_table(data / "mp20.parquet", columns=["formula", "split"])
    pairs = zip(table["split"].to_pylist(), _names(table), strict=True)
    return {name: split for split, name in sorted(pairs, key=lambda pair: pair[0] != "train")}


def outside_split(name: str, published: Mapping[str, str]) -> str:
    """A tenth of the formulas that MP-20 does not have are held out."""
    return "polymorph" if name in published or crc32(name.encode()) % 10 else "polymorph_test"


def write_features(work: Path, rows: pa.Table) -> None:
    """Describe the rows with the potential, chunk by chunk; chunks already written stay."""
    potential = Potential("cpu")
    for start in range(0, len(rows), CHUNK):
        path = _chunk(work, start)
        if not path.exists():
            began = monotonic()
            _save(path, describe(potential, rows.slice(start, CHUNK)))
            print(f"{path.name}: {start + CHUNK} of {len(rows)} rows, {monotonic() - began:.0f} s", flush=True)


def describe(potential: Potential, rows: pa.Table) -> Arrays:
    """Features of the rows (k, p) and which rows they are (k); rows that the potential refuses are left out."""
    found, kept = [], []
    for i, row in enumerate(rows.to_pylist()):
        try:
            crystal = read_crystal(row)
            found.append(features(crystal, potential.describe(crystal)))
        except CrystalError as exc:
            print(f"left out: {exc}", flush=True)
            continue
        kept.append(i)
    return {"features": np.stack(found), "rows": np.array(kept)}


def read_crystal(row: Mapping[str, list[float]]) -> Crystal:
    """The crystal of a table's row; raises CrystalError."""
    symbols = [Element.from_Z(int(number)).symbol for number in row["species"]]
    return from_arrays(row["lattice"], symbols, np.asarray(row["frac_coords"], dtype=np.float64).reshape(-1, 3))


def write_table(work: Path, rows: pa.Table, phases: Mapping[str, float]) -> None:
    """Join features, labels, splits and competing phases of the rows that were described."""
    chunks = [(start, np.load(_chunk(work, start))) for start in range(0, len(rows), CHUNK)]
    kept = np.concatenate([start + chunk["rows"] for start, chunk in chunks])
    rows = rows.take(pa.array(kept))
    columns = {name: rows[name].to_numpy() for name in (*LABELS, "split")}
    columns |= compete(_names(rows), columns, phases)
    _save(work / TABLE, {"features": np.concatenate([chunk["features"] for _, chunk in chunks]), **columns})


def compete(names: list[str], columns: Arrays, phases: Mapping[str, float]) -> Arrays:
    """By row, in eV/atom: what all known phases reach, all but the row's own formula, and all but the test split's
    formulas (for its rows); and the energy above the hull: as published, else from the hull."""
    tested = {name for name, split in zip(names, columns["split"], strict=True) if SPLITS[split] == "test"}
    others = _energies(build_hull(phases), set(names))
    strict = _energies(build_hull({name: phases[name] for name in phases if name not in tested}), tested)
    reached = np.array([others[name] for name in names])
    hull = np.minimum(reached, [phases.get(name, np.inf) for name in names])
    published = columns["e_above_hull"]
    derived = np.maximum(columns["formation_energy_per_atom"] - hull, 0.0)
    return {
        "hull": hull,
        "others": reached,
        "others_untested": np.array([strict.get(name, np.nan) for name in names]),
        "published": np.isfinite(published),
        "e_above_hull": np.where(np.isfinite(published), published, derived),
    }


def write_phases(path: Path, hull: Hull) -> None:
    """The hull's phases as small arrays."""
    numbers, fractions = hull.numbers.astype(np.int8), hull.fractions.astype(np.float32)
    _save(path, {"numbers": numbers, "fractions": fractions, "energies": hull.energies.astype(np.float32)})


def _names(table: pa.Table) -> list[str]:
    return [canonical(name) for name in table["formula"].to_pylist()]


def _energies(hull: Hull, names: set[str]) -> dict[str, float]:
    return {name: hull.energy(atomic_fractions(name), without_own=True) for name in sorted(names)}


def _chunk(work: Path, start: int) -> Path:
    return work / f"features-{start // CHUNK:04d}.npz"


def _save(path: Path, arrays: Arrays) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    partial.replace(path)
