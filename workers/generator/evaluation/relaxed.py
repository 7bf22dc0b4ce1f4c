"""What relaxation does to generated crystals: energy before, after and above the hull, and how far they move."""

from collections.abc import Sequence

import numpy as np

from workers.crystals import Crystal, matrix
from workers.generator.evaluation.desk import Json
from workers.generator.evaluation.shares import percent
from workers.generator.generators import judge
from workers.properties import structure_name

METASTABLE = 0.1  # eV/atom above the hull
HULL = structure_name("e_above_hull")


def relax(job: tuple[str, Crystal, int, float]) -> Json:
    """What relaxation does to one crystal: energies in eV/atom before, after and above the hull, and how far it moves
    in Å."""
    device, crystal, steps, fmax = job
    model = judge(device)
    answer = model.relax([crystal], steps, fmax)[0]
    before = model.energies([crystal])[0]
    if not np.isfinite([before, answer.energy]).all():
        return {"flaw": answer.flaw}
    hull = model.predict([answer.crystal])[0].get(HULL)
    return {
        "before": round(before, 5),
        "after": round(answer.energy, 5),
        "above_hull": None if hull is None else round(hull[0], 5),
        "moved": round(moved(crystal, answer.crystal), 5),
        "swollen": round(answer.crystal.volume / crystal.volume, 5),
        "converged": answer.converged,
        "flaw": answer.flaw,
    }


def moved(before: Crystal, after: Crystal) -> float:
    """Root mean square displacement in Å of sites in the same order, the whole crystal's shift and strain left out."""
    shift = np.asarray(after.coords) - np.asarray(before.coords)
    shift -= np.rint(shift)
    shift -= shift.mean(axis=0)
    steps = shift @ (matrix(before) + matrix(after)) / 2
    return float(np.sqrt((steps**2).sum(axis=1).mean()))


def relaxation(rows: Sequence[Json]) -> Json:
    """What the relaxed crystals have in common."""
    measured = [row for row in rows if "after" in row]
    if not measured:
        return {"n": 0}
    above = [row["above_hull"] for row in measured if row["above_hull"] is not None]
    return {
        "n": len(measured),
        "failed": len(rows) - len(measured),
        "converged": percent(sum(row["converged"] for row in measured), len(measured)),
        "energy_drop": _middle([row["before"] - row["after"] for row in measured]),
        "rmsd": _middle([row["moved"] for row in measured]),
        "volume_ratio": _middle([row["swollen"] for row in measured]),
        "predicted_e_above_hull": _middle(above),
        "predicted_metastable": percent(sum(energy <= METASTABLE for energy in above), len(measured)),
    }


def _middle(values: Sequence[float]) -> Json:
    if not values:
        return {"mean": None, "median": None}
    return {"mean": round(float(np.mean(values)), 4), "median": round(float(np.median(values)), 4)}
