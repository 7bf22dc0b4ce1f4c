"""How much probability, repetition and energy should count in a ranking: fitted on targets whose structure is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from workers.generator.evaluation.matching import Distance
from workers.generator.ranking import Group, features
from workers.generator.requests import Generated

PRIOR = 1e-5  # pulls weights towards zero where the targets say nothing about them

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Choice:
    """The structures found for one target: their features (g, f), and which of them are the one sought (g)."""

    features: Floats
    sought: npt.NDArray[np.bool_]


def choice_of(
    samples: Sequence[Generated],
    energies: Sequence[float] | None,
    groups: Sequence[Group],
    distances: Sequence[Distance],
    energetic: bool,
) -> Choice:
    """What there is to choose from for one target, its energies counted or not."""
    costs = [float("inf")] * len(samples) if energies is None or not energetic else energies
    sought = np.array([distances[group[0]] is not None for group in groups], dtype=np.bool_)
    return Choice(features(samples, costs, groups), sought)


def weights(choices: Sequence[Choice]) -> list[float]:
    """The weights under which a softmax over the structures of a target gives most probability to the one sought."""
    telling = [choice for choice in choices if choice.sought.any() and not choice.sought.all()]

    def loss(w: Floats) -> float:
        return PRIOR * float(w @ w) - sum(_log_share(choice, w) for choice in telling) / max(len(telling), 1)

    start = np.zeros(3)
    return [round(float(w), 3) for w in minimize(loss, start, method="BFGS").x]


def _log_share(choice: Choice, w: Floats) -> float:
    scores = choice.features @ w
    return float(np.logaddexp.reduce(scores[choice.sought]) - np.logaddexp.reduce(scores))
