"""The composition predictor as actors hold it: it refuses by item, and explains itself."""

from collections.abc import Mapping, Sequence

import numpy as np

from workers.cards import Card
from workers.explainer import explain
from workers.explanations import Explanation, Question
from workers.models import Refused, accepted
from workers.predictors.predictor import CompositionPredictor
from workers.properties import Predicted


class CompositionModel:
    """Predictions and explanations of formulas."""

    def __init__(self, card: Card, arrays: Mapping[str, np.ndarray], device: str) -> None:
        self._predictor = CompositionPredictor(card, arrays, device)

    def predict(self, formulas: Sequence[str]) -> list[Predicted | Refused]:
        """Value and standard deviation by property, or why a formula is not taken."""
        refusals = [self._predictor.unsupported(formula) for formula in formulas]
        answers = iter(self._predictor.predict(accepted(formulas, refusals)))
        return [next(answers) if refusal is None else Refused(refusal) for refusal in refusals]

    def explain(self, formulas: Sequence[str], question: Question) -> list[Explanation | Refused]:
        """Which elements make the prediction, or why a formula is not taken; all formulas are one batch."""
        refusals = [self._predictor.unsupported(formula) for formula in formulas]
        answers = iter(explain(self._predictor, accepted(formulas, refusals), question))
        return [next(answers) if refusal is None else Refused(refusal) for refusal in refusals]
