"""The registered properties and their units."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Property:
    """A quantity that a model predicts, with its unit."""

    name: str
    unit: str
    description: str


REGISTRY: dict[str, Property] = {
    entry.name: entry
    for entry in (
        Property("band_gap", "eV", "Kohn-Sham band gap (PBE)"),
        Property("formation_energy_per_atom", "eV/atom", "formation energy from the elements"),
        Property("e_above_hull", "eV/atom", "energy above the convex hull of known phases"),
        Property("density", "g/cm³", "mass density"),
        Property("bulk_modulus", "GPa", "Voigt-Reuss-Hill bulk modulus"),
        Property("magnetization_density", "μB/Å³", "total magnetization by cell volume"),
    )
}

Predicted = dict[str, tuple[float, float]]  # value and standard deviation by property

STRUCTURE_PREFIX = "structure_"


def structure_name(name: str) -> str:
    """The name of a property when it is predicted from the structure."""
    return STRUCTURE_PREFIX + name


def column_names() -> tuple[str, ...]:
    """Every built-in property, first from the composition, then from the structure, in registry order."""
    return (*REGISTRY, *(structure_name(name) for name in REGISTRY))


def unit_of(name: str) -> str:
    """The unit of a property, from composition or structure; empty for one that users added."""
    entry = REGISTRY.get(name.removeprefix(STRUCTURE_PREFIX))
    return entry.unit if entry else ""
