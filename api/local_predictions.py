"""Predictions and explanations of a few formulas, computed in this process without database, queue or actors."""

from collections.abc import Sequence
from typing import TypeVar

from workers.composition_models import CompositionModel
from workers.errors import CheckpointError, UserError
from workers.explanations import Explanation, Question
from workers.models import Refused, load_model
from workers.properties import Predicted

Answer = TypeVar("Answer")

DEVICE = "cpu"
PREDICTOR = "composition-predictor"


def predict(formulas: Sequence[str], model: str) -> list[Predicted]:
    """The predictions for each formula; raises UserError."""
    answers = _predictor(model).predict(formulas)
    return [_taken(formula, answer) for formula, answer in zip(formulas, answers, strict=True)]


def explain(formula: str, question: Question) -> Explanation:
    """What the players of a formula add to the prediction of a property; raises UserError."""
    (answer,) = _predictor(PREDICTOR).explain([formula], question)
    return _taken(formula, answer)


def _predictor(name: str) -> CompositionModel:
    try:
        model = load_model(name, DEVICE)
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc
    if not isinstance(model, CompositionModel):
        raise UserError(f"model {name!r}: it does not predict from formulas; {PREDICTOR} does")
    return model


def _taken(formula: str, answer: Answer | Refused) -> Answer:
    if isinstance(answer, Refused):
        raise UserError(f"formula {formula!r}: {answer.reason}")
    return answer
