"""Elemental properties, as an array, for the predictor's embeddings and the baseline's statistics."""

import warnings
from collections.abc import Sequence

import numpy as np
from pymatgen.core import Element

_SCALARS = (
    "Z", "X", "row", "group", "mendeleev_no", "atomic_mass", "atomic_radius", "atomic_radius_calculated",
    "van_der_waals_radius", "average_ionic_radius", "melting_point", "boiling_point", "density_of_solid",
    "molar_volume", "thermal_conductivity", "bulk_modulus", "ionization_energy", "electron_affinity",
    "max_oxidation_state", "min_oxidation_state",
)  # fmt: skip
_SHELLS = ("s", "p", "d", "f")
_CAPACITY = {"s": 2, "p": 6, "d": 10, "f": 14}
NAMES: tuple[str, ...] = (
    *_SCALARS,
    *(f"{shell}_valence" for shell in _SHELLS),
    *(f"{shell}_unfilled" for shell in _SHELLS),
    "valence",
    "unfilled",
)


def element_table(symbols: Sequence[str]) -> np.ndarray:
    """Properties of elements (element, property), from pymatgen; a missing one is the median of the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of each value that it lacks
        table = np.array([_properties(Element(symbol)) for symbol in symbols], dtype=np.float64)
    medians = np.nanmedian(table, axis=0)
    return np.where(np.isnan(table), medians, table)


def _properties(element: Element) -> list[float]:
    scalars = [_number(getattr(element, name, None)) for name in _SCALARS]
    shells = _valence(element)
    unfilled = {shell: _CAPACITY[shell] - count if count else 0 for shell, count in shells.items()}
    counts = [*shells.values(), *unfilled.values(), sum(shells.values()), sum(unfilled.values())]
    return [*scalars, *(float(count) for count in counts)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _valence(element: Element) -> dict[str, int]:
    """Electrons outside the noble-gas core by kind of shell; filled d and f shells below the outermost count."""
    counts = dict.fromkeys(_SHELLS, 0)
    core = element.electronic_structure.startswith("[")
    terms = element.electronic_structure.split(".")[1 if core else 0 :]
    for term in terms:
        counts[term[1]] += int(term[2:])
    return counts
