"""The registered properties and their units."""

import re
from dataclasses import dataclass
from keyword import iskeyword


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

NON_NEGATIVE = frozenset({"band_gap", "e_above_hull", "density", "bulk_modulus"})

STRUCTURE_PREFIX = "structure_"
STD = "_std"
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
# What filters, sorts, scores and OPTIMADE call by these names.
RESERVED = frozenset({
    "abs", "exp", "log", "max", "min", "sqrt", "campaign", "formula", "score", "space_group", "verdict",
    "known_composition", "known_structure", "hull_references",
    "elements", "elements_ratios", "nelements", "nsites", "id", "type", "immutable_id", "last_modified", "species",
    "assemblies", "space_group_it_number", "space_group_symbol_hall", "space_group_symbol_hermann_mauguin",
    "space_group_symbol_hermann_mauguin_extended", "space_group_symmetry_operations_xyz",
    "species_at_sites", "lattice_vectors", "cartesian_site_positions", "dimension_types", "nperiodic_dimensions",
    "chemical_formula_anonymous", "chemical_formula_descriptive", "chemical_formula_hill", "chemical_formula_reduced",
})  # fmt: skip


def structure_name(name: str) -> str:
    """The name of a property when it is predicted from the structure."""
    return STRUCTURE_PREFIX + name


def column_names() -> tuple[str, ...]:
    """Every built-in property, first from the composition, then from the structure, in registry order."""
    return (*REGISTRY, *(structure_name(name) for name in REGISTRY))


def own_name_flaw(name: str) -> str | None:
    """Why a property of a user's own cannot bear a name, or None."""
    if not _IDENTIFIER.fullmatch(name):
        return "small letters, digits and _ are expected, a letter first, at most 63"
    if name in REGISTRY or name in RESERVED:
        return "a built-in property or column goes by this name"
    if iskeyword(name):
        return "scores could not name it, being a word of their language"
    if name.startswith(STRUCTURE_PREFIX) or name.endswith(STD):
        return f"{STRUCTURE_PREFIX}… and …{STD} are what Sluice itself calls a property's other values"
    return None


def unit_of(name: str) -> str:
    """The unit of a property, from composition or structure; empty for one that users added."""
    entry = REGISTRY.get(name.removeprefix(STRUCTURE_PREFIX))
    return entry.unit if entry else ""
