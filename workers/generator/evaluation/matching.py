"""Whether crystals are the same structure, by the comparison that published benchmarks agree on."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import cast

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import IStructure, Structure

from workers.crystals import Crystal, flaw, to_structure

LTOL, STOL, ANGLE_TOL = 0.3, 0.5, 10.0
RULE = f"StructureMatcher ltol {LTOL:g}, stol {STOL:g}, angle_tol {ANGLE_TOL:g}, generated onto known"

Distance = float | None  # rms distance in (volume / atom)^(1/3), None where the crystals do not match


class _Matcher(StructureMatcher):
    """Compares structures that are reduced already: each is reduced once, not once for each comparison."""

    @classmethod
    def _get_reduced_structure(
        cls, struct: Structure | IStructure, primitive_cell: bool = True, niggli: bool = True
    ) -> Structure:
        return cast(Structure, struct)


@cache
def _matcher() -> StructureMatcher:
    return _Matcher(ltol=LTOL, stol=STOL, angle_tol=ANGLE_TOL)


def _reduced(crystal: Crystal) -> Structure:
    """The reduced primitive cell, by the two steps that StructureMatcher takes."""
    return to_structure(crystal).get_reduced_structure(reduction_algo="niggli").get_primitive_structure()


def distance(known: Crystal, made: Crystal) -> Distance:
    """How far apart two crystals' sites are when they lie on each other as well as can be."""
    return distances((known, [made]))[0]


def distances(task: tuple[Crystal, Sequence[Crystal | None]]) -> list[Distance]:
    """From a known crystal to each of others; what is missing or not valid is no match."""
    known, others = task
    structure = _reduced(known)
    found = {
        made: _distance(structure, made) if made.formula == known.formula and flaw(made) is None else None
        for made in {crystal for crystal in others if crystal is not None}
    }
    return [None if crystal is None else found[crystal] for crystal in others]


def _distance(known: Structure, made: Crystal) -> Distance:
    """In the published order; the other way round, other cells pass for the same now and then."""
    try:
        found = _matcher().get_rms_dist(_reduced(made), known)  # type: ignore[no-untyped-call]
    except (ArithmeticError, LookupError, ValueError):  # what pymatgen cannot reduce is a miss, as published
        return None
    return None if found is None else float(found[0])


def is_known(task: tuple[Crystal, Sequence[Crystal]]) -> bool:
    """Whether a crystal matches one of others."""
    crystal, others = task
    structure = _reduced(crystal)
    return any(_matcher().fit(_reduced(other), structure) for other in others)


def closest(found: Iterable[Distance]) -> Distance:
    """The shortest distance among those that match."""
    return min((x for x in found if x is not None), default=None)


def matched(found: Sequence[Distance]) -> float:
    """The share of references that are matched."""
    return sum(x is not None for x in found) / len(found)


def mean_distance(found: Sequence[Distance]) -> Distance:
    """The mean distance of those that match; None where none does."""
    hits = [x for x in found if x is not None]
    return float(np.mean(hits)) if hits else None


def charged_distance(found: Sequence[Distance]) -> float:
    """cRMSE: the mean distance where each reference without a match is charged the site tolerance.

    With the closest of all crystals of a reference's formula as its distance, `matched` is METRe, whose references
    may be polymorphs (Martirossyan et al., arXiv 2509.12178).
    """
    return float(np.mean([STOL if x is None else x for x in found]))
