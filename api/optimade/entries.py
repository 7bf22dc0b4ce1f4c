"""An entry of a candidate: OPTIMADE's fields of its best crystal, and our own."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import numpy as np

from storage.entries import Entry
from workers.crystals import Crystal, matrix
from workers.filter_fields import PERIODIC, PREFIX, TYPE
from workers.spellings import formula_hill, spellings

HIDDEN = ("id", "nelements", "space_group", "reason")

Attributes = dict[str, Any]


def structure_entry(entry: Entry, fields: Collection[str] | None) -> dict[str, Any]:
    """The JSON of an entry with these attributes, null where it lacks one; with all of its own where none are named."""
    attributes = _attributes(entry)
    if fields is not None:
        attributes = {name: attributes.get(name) for name in fields}
    return {"id": str(entry.row["id"]), "type": TYPE, "attributes": attributes}


def _attributes(entry: Entry) -> Attributes:
    crystal = Crystal.from_dict(entry.crystal)
    own = {PREFIX + name: value for name, value in entry.row.items() if name not in HIDDEN}
    fixed = _chemistry(entry.row["formula"], crystal) | _geometry(crystal)
    return fixed | {"last_modified": _time(entry.modified), "space_group_it_number": entry.row["space_group"]} | own


def _chemistry(formula: str, crystal: Crystal) -> Attributes:
    elements = sorted(set(crystal.species))
    reduced, anonymous = spellings(formula)
    return {
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": [crystal.species.count(symbol) / len(crystal.species) for symbol in elements],
        "chemical_formula_descriptive": formula,
        "chemical_formula_reduced": reduced,
        "chemical_formula_hill": formula_hill(formula),
        "chemical_formula_anonymous": anonymous,
    }


def _geometry(crystal: Crystal) -> Attributes:
    vectors = matrix(crystal)
    return {
        "dimension_types": list(PERIODIC),
        "nperiodic_dimensions": sum(PERIODIC),
        "lattice_vectors": vectors.tolist(),
        "cartesian_site_positions": (np.asarray(crystal.coords) @ vectors).tolist(),
        "nsites": len(crystal.species),
        "species": [
            {"name": symbol, "chemical_symbols": [symbol], "concentration": [1.0]}
            for symbol in sorted(set(crystal.species))
        ],
        "species_at_sites": list(crystal.species),
        "structure_features": [],
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
