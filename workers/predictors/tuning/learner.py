"""What has learned one table of compositions: copies of a trunk and randomised trees, blended."""

from dataclasses import dataclass, field

import numpy as np
import torch

from workers.predictors.calibration import Recalibration
from workers.predictors.element_statistics import statistics_features
from workers.predictors.network import Network
from workers.predictors.table import Table
from workers.predictors.tuning.forest import Forest
from workers.predictors.tuning.sheet import Sheet, Transform
from workers.predictors.tuning.specialist import read_out, tiles

_CERTAIN = 0.01  # a forest's shares as logits stay this far from 0 and 1


@dataclass(frozen=True, slots=True)
class Trials:
    """Rows told by members that had not seen them: truths, values and standard deviations (n,), as Learner.predict
    gives them."""

    truths: np.ndarray
    values: np.ndarray
    stds: np.ndarray


@dataclass(frozen=True, slots=True)
class Start:
    """Where fine-tuning begins: a trunk, or a random network where there is none, over a table's vocabulary.
    `trees` says whether forests take part."""

    base: Table
    trunk: Network
    trees: bool = True


@dataclass(slots=True)
class Learner:
    """What has learned one table."""

    start: Start
    transform: Transform
    classification: bool
    networks: list[Network] = field(default_factory=list)
    forests: list[Forest] = field(default_factory=list)
    weight: float = 1.0  # of the networks, the forests have the rest
    threshold: float = 0.0  # the logit that parts the classes
    recalibration: Recalibration | None = None
    unseen: dict[str, float] = field(default_factory=dict)  # losses on the parts held out, in units of the networks
    trials: Trials | None = None  # only where it has just learned

    def predict(self, sheet: Sheet) -> tuple[np.ndarray, np.ndarray]:
        """Values and standard deviations (n,): targets in their units, or the second class' score."""
        told, stds = self._tell(sheet, self.networks, self.forests)
        if self.classification:
            return self.sure(told)
        values, spread = self.transform.backward(told), stds * self.transform.slope(told)
        return values, spread if self.recalibration is None else self.recalibration.widths(spread)

    def sure(self, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the second class, above a half where it is told, and their standard deviations, of logits (n,)."""
        scores = 1 / (1 + np.exp(-(told - self.threshold)))
        return scores, np.sqrt(scores * (1 - scores))

    def _tell(self, sheet: Sheet, networks: list[Network], forests: list[Forest]) -> tuple[np.ndarray, np.ndarray]:
        """What the members tell together, and their doubt (n,), in units of the networks."""
        parts, variances, weights = [], [], []
        if networks:
            outputs = [read_out(network, sheet) for network in networks]
            medians = np.stack([median for median, _ in outputs])
            noise = np.stack([2 * scale**2 for _, scale in outputs]).mean(axis=0)
            parts.append(medians.mean(axis=0))
            variances.append(noise + medians.var(axis=0))
            weights.append(self.weight if forests else 1.0)
        if forests:
            inputs = describe(self.start, sheet)
            means, spreads = zip(*(forest.predict(inputs) for forest in forests), strict=True)
            parts.append(logit(np.mean(means, axis=0)) if self.classification else np.mean(means, axis=0))
            variances.append(np.mean(np.square(spreads), axis=0))
            weights.append(1 - self.weight if networks else 1.0)
        told = np.einsum("p,pn->n", weights, parts)
        apart = np.einsum("p,pn->n", weights, (np.stack(parts) - told) ** 2)
        return told, np.sqrt(np.einsum("p,pn->n", weights, variances) + apart + 1e-8)


def describe(start: Start, sheet: Sheet) -> np.ndarray:
    """What forests read (n, columns): statistics of the elements' properties, and the properties that the trunk tells.
    With the trunk's whole summary of a formula beside them, trees found the telling columns less often."""
    statistics = statistics_features(sheet.numbers, sheet.shares, start.base.features)
    told = np.empty((len(sheet), start.trunk.config.tasks), dtype=np.float32)
    with torch.inference_mode():
        for rows, numbers, shares in tiles(sheet, 1024):
            told[rows] = start.trunk.eval()(numbers, shares)[0].numpy()
    return np.concatenate((np.nan_to_num(statistics, posinf=0.0, neginf=0.0), told), axis=1)


def logit(shares: np.ndarray) -> np.ndarray:
    """Shares (n,) as logits, those that are nearly certain kept finite."""
    inner = np.clip(shares, _CERTAIN, 1 - _CERTAIN)
    found: np.ndarray = np.log(inner / (1 - inner))
    return found
