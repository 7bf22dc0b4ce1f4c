"""Whether crystals are the same structure, by the comparison that published benchmarks agree on."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher

from workers.crystals import Crystal, flaw, to_structure

LTOL, STOL, ANGLE_TOL = 0.3, 0.5, 10.0
RULE = f"StructureMatcher ltol {LTOL:g}, stol {STOL:g}, angle_tol {ANGLE_TOL:g}"

Distance = float | None  # rms distance in (volume / atom)^(1/3), None where the crystals do not match


@cache
def _matcher() -> StructureMatcher:
    return StructureMatcher(ltol=LTOL, stol=STOL, angle_tol=ANGLE_TOL)


def distance(one: Crystal, other: Crystal) -> Distance:
    """How far apart two crystals' sites are when they lie on each other as well as can be."""
    if one.formula != other.formula:
        return None
    found = _matcher().get_rms_dist(to_structure(one), to_structure(other))  # type: ignore[no-untyped-call]
    return None if found is None else float(found[0])


def distances(task: tuple[Crystal, Sequence[Crystal | None]]) -> list[Distance]:
    """From a known crystal to each of others; what is missing or not valid is no match."""
    reference, others = task
    found: dict[Crystal, Distance] = {}
    for crystal in others:
        if crystal is not None and crystal not in found:
            found[crystal] = distance(reference, crystal) if flaw(crystal) is None else None
    return [None if crystal is None else found[crystal] for crystal in others]


def is_known(task: tuple[Crystal, Sequence[Crystal]]) -> bool:
    """Whether a crystal matches one of others."""
    crystal, others = task
    structure = to_structure(crystal)
    return any(_matcher().fit(to_structure(other), structure) for other in others)


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
