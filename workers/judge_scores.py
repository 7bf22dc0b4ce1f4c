"""How good the structure predictor is: errors by property and split, their baselines, and its calibration."""

import numpy as np

from workers.judge_heads import PREDICTED, Judge, ridge_energy
from workers.properties import structure_name

SPLITS = ("train", "val", "test", "polymorph", "polymorph_test")  # by the number in a table's column
ENERGY = "formation_energy_per_atom"
ONE_SIGMA = 0.6827
BOUNDS = {"band_gap": 0.05, ENERGY: -np.inf, "e_above_hull": 0.002}  # eV, eV/atom: above them a value is free
SETTINGS = {  # which rows, and against which phases
    "test": ("test", "others"),
    "test, no test formula in the hull": ("test", "others_untested"),
    "test, its own formula in the hull": ("test", "hull"),
    "polymorph_test": ("polymorph_test", "others"),
}

Arrays = dict[str, np.ndarray]


def calibrate(judge: Judge, table: Arrays) -> np.ndarray:
    """By property, the factor that makes the standard deviation hold 68 % of the validation errors. Rows predicted to
    lie at the property's bound are left out: that most metals are told with hardly an error says nothing of gaps."""
    rows = rows_of(table, "val")
    answer = judge.answer(table["features"][rows], table["others"][rows])
    factors = []
    for name in PREDICTED:
        value, std = answer[name]
        counted = _known(table, name, rows) & (value > BOUNDS[name])
        ratios = np.abs(value - table[name][rows])[counted] / std[counted]
        factors.append(np.quantile(ratios, ONE_SIGMA) if counted.any() else 1.0)
    return np.array(factors)


def measure(judge: Judge, table: Arrays) -> dict[str, object]:
    """Errors on MP-20's test split and on held-out polymorphs outside it, with what simpler means reach."""
    test, train = rows_of(table, "test"), rows_of(table, "train")
    metrics: dict[str, object] = {}
    for key, (split, competing) in SETTINGS.items():
        metrics[key] = score(judge, table, rows_of(table, split), competing)
    metrics["constant"] = {
        structure_name(name): _mean(table[name][test] - np.median(table[name][train]), _known(table, name, test))
        for name in PREDICTED
    }
    linear = ridge_energy(table["features"][test], judge.ridge) - table[ENERGY][test]
    metrics["linear in CHGNet's energy"] = {structure_name(ENERGY): round(float(np.abs(linear).mean()), 5)}
    return metrics


def score(judge: Judge, table: Arrays, rows: np.ndarray, competing: str) -> dict[str, object]:
    """Mean absolute error (eV, eV/atom) by property and, above its bound, the share within one standard deviation."""
    answer = judge.answer(table["features"][rows], table[competing][rows])
    scores: dict[str, object] = {}
    for name in PREDICTED:
        value, std = answer[name]
        known = _known(table, name, rows)
        gaps = value - table[name][rows]
        counted = known & (value > BOUNDS[name])
        within = float((np.abs(gaps) <= std)[counted].sum()) / max(int(counted.sum()), 1)
        scores[structure_name(name)] = {
            "mae": _mean(gaps, known),
            "within_std": round(within, 3),
            "rows": int(known.sum()),
        }
    return scores


def rows_of(table: Arrays, *splits: str) -> np.ndarray:
    """The rows of some splits."""
    return np.flatnonzero(np.isin(table["split"], [SPLITS.index(split) for split in splits]))


def _known(table: Arrays, name: str, rows: np.ndarray) -> np.ndarray:
    """Whether a row's label counts: of MP-20's energies above the hull the published ones alone."""
    if name == "e_above_hull":
        return np.asarray(table["published"][rows] | (table["split"][rows] >= SPLITS.index("polymorph")))
    return np.asarray(np.isfinite(table[name][rows]))


def _mean(gaps: np.ndarray, known: np.ndarray) -> float:
    return round(float(np.abs(gaps[known]).mean()), 5)
