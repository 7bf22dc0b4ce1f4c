"""How far each way of predicting is from the truth, over all materials and where they differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workers.generator.evaluation.combined import Column, Floats, Weighing, excess
from workers.generator.evaluation.desk import Json
from workers.judge_heads import PREDICTED

COMPOSITION = "composition"
ENERGY = PREDICTED.index("formation_energy_per_atom")
BOTH = {"composition and generated": "generated", "composition and relaxed": "relaxed"}
ALL = slice(None)
FEWEST = 10  # materials of a kind that are told apart

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Survey:
    """What was said of n materials: the truth (n, p) for the properties PREDICTED, NaN where unknown; values and
    standard deviations (n, p, 2) by way; the kind (n) of each material by what tells kinds apart; and why others are
    left out, by formula."""

    truth: Floats
    said: Mapping[str, Floats]
    kinds: Mapping[str, npt.NDArray[np.str_]]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def column(self, way: str, i: int, rows: Mask | slice = ALL) -> Column:
        """What one way says of one property."""
        return Column(self.said[way][rows, i, 0], self.said[way][rows, i, 1])

    def excess(self, structure: str, rows: Mask | slice = ALL) -> Floats:
        """How far the structures' formation energies lie above what their compositions lead to expect."""
        return excess(self.column(COMPOSITION, ENERGY, rows), self.column(structure, ENERGY, rows))


def tally(survey: Survey, weighings: Mapping[str, Mapping[str, Weighing]]) -> Json:
    """Mean absolute errors in the properties' units, with standard errors, for all materials and for each kind."""
    errors, within = {}, {}
    for i, name in enumerate(PREDICTED):
        columns = {way: survey.column(way, i) for way in survey.said}
        for way, structure in BOTH.items():
            two = columns[COMPOSITION], columns[structure]
            columns[way] = weighings[way][name].combine(*two, survey.excess(structure))
        known = np.isfinite(survey.truth[:, i])
        errors[name] = {way: np.abs(found.values - survey.truth[:, i]) for way, found in columns.items()}
        within[name] = {
            way: round(float(np.mean((errors[name][way] <= found.stds)[known])), 3) for way, found in columns.items()
        }
    where = {
        what: {kind: _means(errors, kinds == kind) for kind in np.unique(kinds) if (kinds == kind).sum() >= FEWEST}
        for what, kinds in survey.kinds.items()
    }
    return {
        "materials": len(survey.truth),
        "left_out": dict(survey.left_out),
        "errors": _means(errors, np.ones(len(survey.truth), dtype=np.bool_)),
        "within_std": within,
        "where": where,
    }


def _means(errors: Mapping[str, Mapping[str, Floats]], rows: Mask) -> Json:
    return {name: _compared({way: row[rows] for way, row in ways.items()}) for name, ways in errors.items()}


def _compared(ways: Mapping[str, Floats]) -> Json:
    """Each way's mean error, and what it has less or more than the composition's, on the materials with a truth."""
    plain = ways[COMPOSITION]
    known = np.isfinite(plain)
    if not known.any():
        return {"n": 0}
    found: Json = {"n": int(known.sum())}
    for way, errors in ways.items():
        found[way] = _mean(errors[known]) | ({} if way == COMPOSITION else {"gain": _mean((errors - plain)[known])})
    return found


def _mean(values: Floats) -> Json:
    """The mean and its standard error."""
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else None
    return {"mean": round(float(values.mean()), 5), "error": None if error is None else round(error, 5)}
