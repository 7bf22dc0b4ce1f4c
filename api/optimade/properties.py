"""The properties of an OPTIMADE structure that stand here: the standard's, and our own with the prefix _sluice_."""

from collections.abc import Iterable
from typing import Any

from optimade.models import DataType, EntryInfoProperty, ReferenceResource, StructureResource
from optimade.models.entries import EntryResource
from pydantic import TypeAdapter

from storage.candidates import STD
from storage.filters import FINDINGS
from storage.queries import FIXED, SORTABLE
from workers.filter_fields import ABSENT, ALIASES, PREFIX
from workers.properties import unit_of

TOP = ("id", "type")
TEXTS = ("formula", "verdict", *FINDINGS)
ATTRIBUTES = StructureResource.model_fields["attributes"].annotation
STANDARD = tuple(name for name in ATTRIBUTES.model_fields if name not in ABSENT)
OWN = tuple(PREFIX + name for name in (*FIXED, *FINDINGS))


def structure_properties(extra: Iterable[str]) -> dict[str, EntryInfoProperty]:
    """Each property of a structure, extra being those that users added."""
    names = [*FIXED, *FINDINGS, *(key for name in extra for key in (name, name + STD))]
    return _standard(StructureResource, STANDARD) | {PREFIX + name: _own(name) for name in names}


def reference_properties() -> dict[str, EntryInfoProperty]:
    """Each property of a reference, of which none stands here."""
    return _standard(ReferenceResource, ())


def is_standard(name: str) -> bool:
    """Whether OPTIMADE defines a property of structures under this name."""
    return name in TOP or name in ATTRIBUTES.model_fields


def is_reference(name: str) -> bool:
    """Whether OPTIMADE defines a property of references under this name."""
    return name in TOP or name in ReferenceResource.model_fields["attributes"].annotation.model_fields


def _standard(resource: type[EntryResource], names: Iterable[str]) -> dict[str, EntryInfoProperty]:
    top = {name: _described(name, resource.model_fields[name]) for name in TOP}
    return top | {name: _described(name, ATTRIBUTES.model_fields[name]) for name in names}


def _described(name: str, field: Any) -> EntryInfoProperty:
    unit = (field.json_schema_extra or {}).get("x-optimade-unit")
    return EntryInfoProperty(
        description=str(field.description).splitlines()[0],
        unit=unit,
        sortable=ALIASES.get(name, name) in SORTABLE,
        type=_type(TypeAdapter(field.annotation).json_schema()),
    )


def _type(schema: dict[str, Any]) -> DataType | None:
    choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
    return DataType.from_json_type(choices[0].get("format", choices[0].get("type")))


def _own(name: str) -> EntryInfoProperty:
    kind = DataType.INTEGER if name == "campaign" else DataType.STRING if name in TEXTS else DataType.FLOAT
    base = name.removesuffix(STD)
    what = f"standard deviation of {base}" if base != name else name.replace("_", " ")
    unit = unit_of(base)
    return EntryInfoProperty(description=f"{what} ({unit})" if unit else what, sortable=name in SORTABLE, type=kind)
