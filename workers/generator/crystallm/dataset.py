"""MP-20 as CIF text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pymatgen.core import Element

from workers.crystals import from_arrays
from workers.errors import CrystalError
from workers.generator.corpus import encoded_all
from workers.generator.crystallm.cells import count_cells
from workers.generator.crystallm.cif import write
from workers.generator.crystallm.parsing import read
from workers.generator.crystallm.texts import PARTS, Texts, save
from workers.generator.crystallm.tokens import UNKNOWN, encode, numbers

WATCHED = 1500  # structures of the val split, whose loss is reported
COLUMNS = ["split", "lattice", "species", "frac_coords"]


@dataclass(frozen=True, slots=True)
class Item:
    """A structure of one part of the data; fractional coordinates one after the other."""

    part: str
    lattice: Sequence[float]
    numbers: Sequence[int]
    coords: Sequence[float]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A structure's text, its atoms by element in the primitive cell, and its primitive cells in the conventional."""

    part: str
    tokens: npt.NDArray[np.uint16]
    counts: tuple[int, ...]
    centring: int


def encoded(item: Item) -> Encoded | None:
    """A structure as text, or None where it has no text that can be read again."""
    species = [str(Element.from_Z(int(z)).symbol) for z in item.numbers]
    coords = np.asarray(item.coords, dtype=np.float64).reshape(-1, 3)
    try:
        text = write(from_arrays(item.lattice, species, coords))
        atoms = len(read(text).species)
    except CrystalError:
        return None
    tokens = encode(text)
    if atoms != len(species) or numbers()[UNKNOWN] in tokens:
        return None
    counts = tuple(species.count(symbol) for symbol in sorted(set(species)))
    cell = sum(map(int, re.findall(r"\d+", text.splitlines()[0])))
    return Encoded(item.part, np.array(tokens, dtype=np.uint16), counts, cell // atoms)


def prepare(data: Path, work: Path, processes: int = 2) -> None:
    """Write MP-20's train split as text, and some of val; raises FileNotFoundError where the table is missing."""
    items = _items(data)
    found = [text for text in encoded_all(encoded, items, processes) if text is not None]
    tokens = np.concatenate([text.tokens for text in found])
    starts = np.cumsum([0, *(len(text.tokens) for text in found)])
    part = np.array([PARTS.index(text.part) for text in found], dtype=np.int8)
    cells = count_cells((text.counts, text.centring) for text in found if text.part == "train")["cells"]
    save(work, Texts(tokens, starts, part, cells.astype(np.int32)))
    print(f"{len(found)} texts, {len(items) - len(found)} left out, {np.bincount(part).tolist()} by part {PARTS}")


def _items(data: Path) -> list[Item]:
    rows = pq.read_table(data / "mp20.parquet", columns=COLUMNS).to_pylist()
    known = [row for row in rows if row["frac_coords"] is not None]
    held_out = [row for row in known if row["split"] == "val"]
    watched = [held_out[i] for i in np.random.default_rng(0).permutation(len(held_out))[:WATCHED]]
    chosen = [row for row in known if row["split"] == "train"] + watched
    return [Item(row["split"], row["lattice"], row["species"], row["frac_coords"]) for row in chosen]
