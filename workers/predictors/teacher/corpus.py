"""The teacher's corpus: every published structure once, with what is known of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workers.known_phases import fit_shifts, shift

STRUCTURE = ("material_id", "formula", "lattice", "species", "frac_coords")
SCALARS = (
    "density", "band_gap", "formation_energy_per_atom", "e_above_hull", "magnetization_density", "bulk_modulus",
)  # fmt: skip


def read_corpus(data: Path) -> pa.Table:
    """Materials by id, MP-20's rows before later ones of the same id; one of each formula, the smallest cell, comes
    before any second one, and small cells before large ones, so that a corpus cut short is still a wide one."""
    first = _read_mp20(data)
    later = _read_later(data)
    later = later.filter(pc.invert(pc.is_in(later["material_id"], first["material_id"].combine_chunks())))
    table = pa.concat_tables([first, later]).combine_chunks()
    sizes = pc.list_value_length(table["species"]).to_numpy()
    by_size = np.argsort(sizes, kind="stable")
    formulas = np.array(table["formula"].to_pylist())[by_size]
    second = np.ones(len(formulas), dtype=bool)
    second[np.unique(formulas, return_index=True)[1]] = False
    return table.take(pa.array(by_size[np.argsort(second, kind="stable")]))


def _read_mp20(data: Path) -> pa.Table:
    table = pq.read_table(data / "mp20.parquet", filters=pc.field("coords_source") != "none")
    table = table.rename_columns({"mag_density": "magnetization_density"})
    return _select(table)


def _read_later(data: Path) -> pa.Table:
    """Structures of the later release; energies of 2018 are moved to MP-20's scale."""
    table = pq.read_table(data / "mp2025_structures.parquet")
    table = table.rename_columns({"e_form_mp2018": "formation_energy_per_atom", "band_gap_mp2018": "band_gap"})
    shifts = fit_shifts(data)
    moves = pa.array([shift(formula, shifts) for formula in table["formula"].to_pylist()])
    place = table.schema.get_field_index("formation_energy_per_atom")
    moved = pc.add(table["formation_energy_per_atom"].cast(pa.float64()), moves)
    return _select(table.set_column(place, "formation_energy_per_atom", moved))


def _select(table: pa.Table) -> pa.Table:
    """The columns of the corpus, one type each, null where a table lacks them."""
    columns = {name: table[name] for name in STRUCTURE}
    for name in ("material_id", "formula"):
        columns[name] = columns[name].cast(pa.string())
    for name in SCALARS:
        known = name in table.column_names
        columns[name] = table[name].cast(pa.float64()) if known else pa.nulls(len(table), pa.float64())
    return pa.table(columns)
