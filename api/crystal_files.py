"""Crystals as CIF files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workers.crystals import Crystal, to_cif


def write_crystals(folder: Path, crystals: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
    """Write stored crystals to one file each, by name, and return how many."""
    count = 0
    for name, data in crystals:
        write_crystal(folder / f"{name}.cif", Crystal.from_dict(data))
        count += 1
    return count


def write_crystal(path: Path, crystal: Crystal) -> None:
    """Write one crystal."""
    path.write_text(to_cif(crystal), encoding="utf-8")
