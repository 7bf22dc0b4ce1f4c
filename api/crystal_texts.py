"""A crystal as text in the formats that programs of the field read."""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from io import StringIO

from ase.io.extxyz import write_extxyz
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp import Poscar

from workers.crystals import Crystal, to_cif, to_structure


class CrystalFormat(StrEnum):
    """A format by the name that people call it."""

    CIF = "cif"
    POSCAR = "poscar"
    EXTXYZ = "extxyz"
    JSON = "json"


MEDIA_TYPES: Mapping[CrystalFormat, str] = {
    CrystalFormat.CIF: "chemical/x-cif",
    CrystalFormat.POSCAR: "text/plain",
    CrystalFormat.EXTXYZ: "chemical/x-xyz",
    CrystalFormat.JSON: "application/json",
}


def crystal_text(crystal: Crystal, form: CrystalFormat) -> str:
    """The crystal in one of the formats; JSON is what pymatgen's Structure.from_dict reads."""
    return WRITERS[form](crystal)


def _poscar(crystal: Crystal) -> str:
    # A POSCAR names each species once, so that its sites stand together.
    return Poscar(to_structure(crystal).get_sorted_structure(), comment=crystal.formula).get_str(significant_figures=10)


def _extxyz(crystal: Crystal) -> str:
    out = StringIO()
    write_extxyz(out, [AseAtomsAdaptor.get_atoms(to_structure(crystal), msonable=False)])
    return out.getvalue()


def _json(crystal: Crystal) -> str:
    return json.dumps(to_structure(crystal).as_dict())


WRITERS: Mapping[CrystalFormat, Callable[[Crystal], str]] = {
    CrystalFormat.CIF: to_cif,
    CrystalFormat.POSCAR: _poscar,
    CrystalFormat.EXTXYZ: _extxyz,
    CrystalFormat.JSON: _json,
}
