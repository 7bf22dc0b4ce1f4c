"""Predictions and explanations of a few formulas, computed in this process without database, queue or actors."""

from collections.abc import Sequence

from workers.composition_models import CompositionModel
from workers.errors import CheckpointError, UserError
from workers.explanations import Explanation, Index
from workers.models import Refused, load_model
from workers.properties import Predicted

DEVICE = "cpu"
PREDICTOR = "composition-predictor"


def predict(formulas: Sequence[str], model: str) -> list[Predicted]:
    """The predictions for each formula; raises UserError."""
    answers = _predictor(model).predict(formulas)
    return [_taken(formula, answer) for formula, answer in zip(formulas, answers, strict=True)]


def explain(formula: str, prop: str, index: Index, order: int) -> Explanation:
    """What the elements of a formula add to the prediction of a property; raises UserError."""
    (explanation,) = _predictor(PREDICTOR).explain([formula], prop, index, order)
    return explanation


def _predictor(name: str) -> CompositionModel:
    try:
        model = load_model(name, DEVICE)
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    if not isinstance(model, CompositionModel):
        raise UserError(f"model {name!r}: it does not predict from formulas; {PREDICTOR} does")
    return model


def _taken(formula: str, answer: Predicted | Refused) -> Predicted:
    if isinstance(answer, Refused):
        raise UserError(f"formula {formula!r}: {answer.reason}")
    return answer
