"""Predictions and explanations of a few formulas, computed in this process without database, queue or actors."""

from collections.abc import Sequence
from typing import TypeVar

from api.own_models import Named
from workers.composition_models import CompositionModel
from workers.errors import CheckpointError, UserError
from workers.explanations import Explanation, Question
from workers.learned_models import LearnedModel
from workers.models import Refused, load_model
from workers.properties import Predicted

Answer = TypeVar("Answer")

DEVICE = "cpu"
PREDICTOR = "composition-predictor"


def predict(formulas: Sequence[str], model: Named) -> list[Predicted]:
    """The predictions for each formula; raises UserError."""
    predictor = _loaded(model.path)
    if not isinstance(predictor, CompositionModel | LearnedModel):
        raise UserError(f"model {model.name!r}: it does not predict from formulas; {PREDICTOR} does")
    answers = predictor.predict(formulas)
    return [_taken(formula, answer) for formula, answer in zip(formulas, answers, strict=True)]


def explain(formula: str, question: Question) -> Explanation:
    """What the players of a formula add to the prediction of a property; raises UserError."""
    predictor = _loaded(PREDICTOR)
    assert isinstance(predictor, CompositionModel)
    (answer,) = predictor.explain([formula], question)
    return _taken(formula, answer)


def _loaded(name: str) -> object:
    try:
        return load_model(name, DEVICE)
    except CheckpointError as exc:
        raise UserError(str(exc)) from exc


def _taken(formula: str, answer: Answer | Refused) -> Answer:
    if isinstance(answer, Refused):
        raise UserError(f"formula {formula!r}: {answer.reason}")
    return answer
