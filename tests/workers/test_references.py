"""Reference structures: files of every kind, what is wrong in them, and which structures are the same."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from workers.compositions import INERT
from workers.crystals import Crystal, from_structure, rounded, to_structure
from workers.errors import InvalidFile
from workers.potentials import HEAVIEST as HEAVIEST_NUMBER
from workers.reference_files import Row, read_references
from workers.references import KNOWN, Comparison, Flawed, Reference, match, nearest_first, systems_within


def salt(edge: float = 5.69, cation: str = "Na", anion: str = "Cl") -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(edge), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def cesium_chloride(edge: float = 3.6) -> Structure:
    return Structure(Lattice.cubic(edge), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def flaws(rows: list[Row]) -> dict[str, str]:
    return {row.place: row.reason for row in rows if isinstance(row, Flawed)}


def good(rows: list[Row]) -> dict[str, tuple[str, float | None]]:
    return {row.source_id: (row.crystal.formula, row.energy_per_atom) for row in rows if isinstance(row, Reference)}


def test_a_folder_of_cif_files_and_what_is_wrong_in_it(tmp_path: Path) -> None:
    mixed = Structure(Lattice.cubic(5.6), [{"Na": 0.5, "K": 0.3}, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    close = Structure(Lattice.cubic(5.6), ["Na", "Na", "Cl"], [[0, 0, 0], [0.05, 0, 0], [0.5, 0.5, 0.5]])
    structures = {"salt": salt(), "mixed": mixed, "close": close, "curium": salt(cation="Cm"), "large": salt() * 6}
    for name, structure in structures.items():
        (tmp_path / f"{name}.cif").write_text(structure.to(fmt="cif"), encoding="utf-8")
    (tmp_path / "torn.cif").write_text("data_x\n_cell_length_a", encoding="utf-8")
    (tmp_path / "readme.txt").write_text("no structure", encoding="utf-8")
    rows = list(read_references(tmp_path))
    assert good(rows) == {"salt": ("NaCl", None)}
    told = flaws(rows)
    assert set(told) == {"mixed.cif", "close.cif", "curium.cif", "torn.cif", "large.cif"}
    assert "partly occupied" in told["mixed.cif"] and "0.28 Å apart" in told["close.cif"]
    assert "1728 atoms" in told["large.cif"]
    assert "element Cm" in told["curium.cif"] and "no structure can be read" in told["torn.cif"]


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_json_of_pymatgens_entries_and_of_plain_objects(tmp_path: Path, suffix: str) -> None:
    entry = ComputedStructureEntry(salt(), -27.0, correction=-1.0, entry_id="mine-1")
    rows = [
        entry.as_dict(),
        {"material_id": "plain", "structure": cesium_chloride().as_dict(), "energy": -6.5},
        {"structure": cesium_chloride().as_dict(), "energy": None},
        {"structure": cesium_chloride().as_dict(), "energy": "low"},
        {"id": "empty"},
        17,
    ]
    path, text = tmp_path / f"entries{suffix}", json.dumps(rows)
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    read = list(read_references(path))
    assert good(read) == {"mine-1": ("NaCl", -3.5), "plain": ("NaCl", -3.25), "3": ("NaCl", None)}
    places = list(flaws(read))
    assert [place.partition(",")[2] for place in places] == [" entry 4", " entry 5 (empty)", " entry 6"]


def test_parquet_with_arrays_and_with_texts(tmp_path: Path) -> None:
    arrays = {
        "material_id": ["a", "b"],
        "lattice": [[3.6, 3.6, 3.6, 90.0, 90.0, 90.0]] * 2,
        "species": [[11, 17], [11]],
        "frac_coords": [[0.0, 0.0, 0.0, 0.5, 0.5, 0.5]] * 2,
        "formation_energy_per_atom": [-2.0, -1.0],
    }
    texts = {"structure": [json.dumps(salt().as_dict()), None], "cif": [None, salt(6.6, "K").to(fmt="cif")]}
    for name, table in (("arrays", arrays), ("texts", texts)):
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    read = list(read_references(tmp_path / "arrays.parquet"))
    assert good(read) == {"a": ("NaCl", -2.0)} and list(flaws(read)) == ["arrays.parquet, row 2 (b)"]
    assert good(list(read_references(tmp_path / "texts.parquet"))) == {"1": ("NaCl", None), "2": ("KCl", None)}


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("none.json", None, "no such file"),
        ("torn.json", "[1,\n 2", "line 2"),
        ("object.json", "{}", "not a list"),
        ("text.txt", "NaCl", "neither Parquet nor JSON"),
        ("bad.parquet", "PAR1", "cannot be read"),
    ],
)
def test_a_file_that_is_none_of_these_is_one_line(tmp_path: Path, name: str, content: str | None, word: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InvalidFile, match=word):
        list(read_references(tmp_path / name))


def test_columns_without_structures_and_folders_without_cif_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"formula": ["NaCl"]}), tmp_path / "formulas.parquet")
    for path in (tmp_path / "formulas.parquet", tmp_path):
        with pytest.raises(InvalidFile, match="expected"):
            list(read_references(path))


def crystal(structure: Structure) -> Crystal:
    return rounded(from_structure(structure))


def test_the_same_structure_is_known_in_any_cell_and_another_is_not() -> None:
    one, other = crystal(salt().get_primitive_structure()), crystal(cesium_chloride())
    doubled = crystal(to_structure(one) * (2, 1, 1))
    strained = crystal(salt(5.75))
    known = (other, crystal(salt()))
    assert match([Comparison(each, known) for each in (one, doubled, strained)]) == [1, 1, 1]
    assert match([Comparison(other, known), Comparison(one, (other,)), Comparison(one, ())]) == [0, -1, -1]


def test_volumes_that_differ_much_need_no_closer_look() -> None:
    volume = crystal(salt()).volume / 8
    assert nearest_first(crystal(salt()), [volume * 1.2, volume * 2, volume, volume / 2, volume / 1.1]) == [2, 4, 0]


def test_systems_within_a_system() -> None:
    assert sorted(systems_within("Ba-O-Te")) == ["Ba", "Ba-O", "Ba-O-Te", "Ba-Te", "O", "O-Te", "Te"]


def test_the_known_elements_are_those_of_the_potential() -> None:
    assert len(KNOWN) == HEAVIEST_NUMBER - len(INERT)
