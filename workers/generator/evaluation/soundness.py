"""SMACT's check of formulas: published match rates count what does not pass it as a miss, whatever its structure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from math import inf, isfinite, prod
from pathlib import Path

import pyarrow.parquet as pq
from pymatgen.core import Element

METALLOIDS = frozenset({"Ge", "Sb", "Po"})  # metals to SMACT
MOST_CHOICES = 10**7

States = Mapping[str, Sequence[int]]


def smact_states(data: Path) -> States | None:
    """Oxidation states by element symbol in SMACT's list of 2014; None where the folder has no such table."""
    path = data / "oxidation_states.parquet"
    if not path.exists():
        return None
    states: dict[str, list[int]] = {}
    for row in pq.read_table(path, columns=["element", "oxidation_state", "in_smact14"]).to_pylist():
        if row["in_smact14"]:
            states.setdefault(row["element"], []).append(row["oxidation_state"])
    return states


def is_sound(species: Sequence[str], states: States) -> bool:
    """Whether one state for each element can make the atoms neutral, its cations less electronegative than its
    anions; elements and alloys pass (DiffCSP's evaluation; Davies et al., JOSS 4, 1361, 2019)."""
    counts = Counter(species)
    elements = list(counts)
    if len(elements) == 1 or all(Element(symbol).is_metal or symbol in METALLOIDS for symbol in elements):
        return True
    rows = [states.get(symbol, ()) for symbol in elements]
    if prod(map(len, rows)) > MOST_CHOICES:
        return False
    pulls = [_electronegativity(symbol) for symbol in elements]
    return any(
        sum(state * amount for state, amount in zip(choice, counts.values(), strict=True)) == 0
        and _is_ordered(choice, pulls)
        for choice in product(*rows)
    )


def _is_ordered(choice: Sequence[int], pulls: Sequence[float | None]) -> bool:
    known = [(state, pull) for state, pull in zip(choice, pulls, strict=True) if pull is not None]
    cations = max((pull for state, pull in known if state > 0), default=-inf)
    return cations < min((pull for state, pull in known if state < 0), default=inf)


def _electronegativity(symbol: str) -> float | None:
    value = float(Element(symbol).X)
    return value if isfinite(value) else None
