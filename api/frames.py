"""What the HTTP API answers, as pandas frames."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from api.views.candidates import CandidateRow
from api.views.tasks import FormulaExplanations, FormulaPredictions
from storage.filters import FINDINGS

TEXTS = ("formula", "verdict", "reason", *FINDINGS)
WHOLE = ("id", "campaign", "nelements")
EXPLAINED = ("formula", "property", "players", "value", "error")


def candidate_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Candidates, one a row; numbers that are not known are NaN."""
    names = list(dict.fromkeys([*CandidateRow.model_fields, *(name for row in rows for name in row)]))
    frame = pd.DataFrame(list(rows), columns=names)
    numbers = {name: "float64" for name in names if name not in (*TEXTS, *WHOLE)}
    return frame.astype(numbers | dict.fromkeys(WHOLE, "int64"))


def prediction_frame(results: Sequence[FormulaPredictions], formulas: Sequence[str]) -> pd.DataFrame:
    """Predictions, one row for each of these formulas, each value beside its standard deviation."""
    by_formula = {each.formula: each for each in results}
    return pd.DataFrame([_predictions(by_formula[formula]) for formula in formulas])


def explanation_frame(results: Sequence[FormulaExplanations]) -> pd.DataFrame:
    """Interactions, one a row; a formula's baseline has no players, and where it failed `error` says why."""
    return pd.DataFrame([row for each in results for row in _interactions(each)], columns=list(EXPLAINED))


def _predictions(result: FormulaPredictions) -> dict[str, Any]:
    values = {
        key: number
        for name, found in result.predictions.items()
        for key, number in ((name, found.value), (f"{name}_std", found.std))
    }
    return {"formula": result.formula, **values, "error": result.error}


def _interactions(result: FormulaExplanations) -> list[tuple[Any, ...]]:
    if result.error is not None:
        return [(result.formula, None, (), None, result.error)]
    return [
        (result.formula, each.property, players, value, None)
        for each in result.explanations
        for players, value in [((), each.baseline), *((tuple(one.players), one.value) for one in each.interactions)]
    ]
