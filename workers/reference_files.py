"""Files of reference structures: Parquet, JSON, and folders of CIF files."""

import gzip
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.cif import CifParser

from workers.errors import InvalidFile
from workers.references import Flawed, Reference, make_reference

ACCEPTED = "a .parquet or .json file, or a folder of CIF files, is expected"
IDS = ("source_id", "material_id", "entry_id", "id")
TOTAL = "energy"  # of the whole cell
ENERGIES = ("formation_energy_per_atom", "energy_per_atom", TOTAL)  # the first that a file has counts for all its rows
ARRAYS = ("lattice", "species", "frac_coords")
STRUCTURES = ("structure", "cif")
PARQUET_ROWS = 1024

Row = Reference | Flawed
Object = Mapping[str, Any]


def read_references(path: Path) -> Iterator[Row]:
    """The structures of a file or folder in order, those that are none with place and reason; raises InvalidFile."""
    if not path.exists():
        raise InvalidFile(path, f"no such file; {ACCEPTED}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if path.is_dir():
        return _cifs(path)
    if suffixes[-1:] == [".parquet"]:
        return _parquet(path)
    if ".json" in suffixes:
        return _json(path)
    raise InvalidFile(path, f"neither Parquet nor JSON by its name; {ACCEPTED}")


def _cifs(folder: Path) -> Iterator[Row]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".cif")
    if not files:
        raise InvalidFile(folder, "no file in it ends in .cif; a folder of CIF files is expected")
    for file in files:
        yield make_reference(file.name, file.stem, partial(_file_structure, file))


def _parquet(path: Path) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            make = _maker(path, names)
            read = [name for name in (*IDS, *ENERGIES, *STRUCTURES, *ARRAYS) if name in names]
            energy = _energy_name(names)
            number = 0
            for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=read):
                for row in batch.to_pylist():
                    number += 1
                    yield _reference(f"{path.name}, row {number}", row, number, energy, make)
    except (OSError, pa.ArrowException) as exc:
        raise InvalidFile(path, f"cannot be read: {exc}") from exc


def _json(path: Path) -> Iterator[Row]:
    rows = _load(path)
    energy = next((name for row in rows if isinstance(row, dict) if (name := _energy_name(row))), None)
    for number, row in enumerate(rows, 1):
        place = f"{path.name}, entry {number}"
        if not isinstance(row, dict):
            yield Flawed(place, f"{row!r:.60}: an object with a structure is expected")
        elif row.get("@class") == ComputedStructureEntry.__name__:
            yield _entry(place, row, number)
        else:
            yield _reference(place, row, number, energy, _object_structure)


def _load(path: Path) -> list[object]:
    try:
        raw = path.read_bytes()
        rows = json.loads(gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw)
    except json.JSONDecodeError as exc:
        raise InvalidFile(path, f"line {exc.lineno}: not JSON: {exc.msg}; a list of entries is expected") from exc
    except (OSError, EOFError, UnicodeDecodeError) as exc:
        raise InvalidFile(path, f"cannot be read: {exc}") from exc
    if not isinstance(rows, list):
        raise InvalidFile(path, "not a list; a list of pymatgen's ComputedStructureEntry, or of objects, is expected")
    return rows


def _reference(place: str, row: Object, number: int, energy: str | None, make: Callable[[Object], Structure]) -> Row:
    """One row; a total energy is divided by the atoms that the row's structure has."""
    source_id = _source_id(row, number)
    place = place if source_id == str(number) else f"{place} ({source_id})"
    given = None if energy is None else row.get(energy)
    found = make_reference(place, source_id, lambda: make(row), given)
    if energy != TOTAL or isinstance(found, Flawed) or found.energy_per_atom is None:
        return found
    per_atom = found.energy_per_atom / len(found.crystal.species)
    return Reference(found.source_id, found.crystal, per_atom)


def _entry(place: str, row: Object, number: int) -> Row:
    """A ComputedStructureEntry, its energy with all corrections."""
    try:
        entry = ComputedStructureEntry.from_dict(dict(row))
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        return Flawed(place, f"no ComputedStructureEntry ({type(exc).__name__}: {exc})")
    source_id = str(entry.entry_id or number)
    return make_reference(f"{place} ({source_id})", source_id, lambda: entry.structure, entry.energy_per_atom)


def _maker(path: Path, names: Sequence[str]) -> Callable[[Object], Structure]:
    if all(name in names for name in ARRAYS):
        return _array_structure
    if any(name in names for name in STRUCTURES):
        return _object_structure
    told = f"columns {', '.join(ARRAYS)}, or {' or '.join(STRUCTURES)}, are expected"
    raise InvalidFile(path, f"no structures among its columns ({', '.join(names)}); {told}")


def _array_structure(row: Object) -> Structure:
    """Of lattice parameters (6) in Å and degrees, atomic numbers or symbols (n), fractional coordinates (3n)."""
    if lacking := [name for name in ARRAYS if row[name] is None]:
        raise ValueError(f"no {lacking[0]}")
    flat = [float(value) for value in row["frac_coords"]]
    coords = [flat[i : i + 3] for i in range(0, len(flat), 3)]
    lattice = Lattice.from_parameters(*(float(value) for value in row["lattice"]))
    return Structure(lattice, list(row["species"]), coords)


def _object_structure(row: Object) -> Structure:
    """Of pymatgen's dictionary, as an object or as JSON text, else of the text of a CIF file."""
    if row.get("structure") is not None:
        held = row["structure"]
        return Structure.from_dict(json.loads(held) if isinstance(held, str) else held)
    if row.get("cif") is None:
        raise ValueError(f"neither {' nor '.join(STRUCTURES)}")
    return _parsed(CifParser.from_str, str(row["cif"]))


def _file_structure(file: Path) -> Structure:
    return _parsed(CifParser, str(file))


def _parsed(parser: Callable[..., CifParser], source: str) -> Structure:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what matters the structure itself is asked
        return parser(source, check_cif=False).parse_structures(primitive=False)[0]


def _energy_name(names: object) -> str | None:
    return next((name for name in ENERGIES if name in names), None)  # type: ignore[operator]


def _source_id(row: Object, number: int) -> str:
    return str(next((row[name] for name in IDS if row.get(name) is not None), number))
