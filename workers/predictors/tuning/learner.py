"""One recipe for any table of compositions: copies of a trunk and randomised trees, each blind to a part of the table.

They are blended by how they fare on the parts that they have not seen.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from workers.predictors.baseline import statistics_features
from workers.predictors.calibration import Recalibration, recalibrate
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.table import Table
from workers.predictors.tuning.forest import Forest, grow
from workers.predictors.tuning.sheet import Sheet, Transform, choose_transform, inner_folds
from workers.predictors.tuning.specialist import Recipe, loss_of, read_out, tiles, tune

LARGE = 20_000  # rows from which one part alone is held out, and no forest is grown: the network needs no help there
_PARTS = {8_000: 5, LARGE: 3}  # by the most rows: parts, all of which are held out in turn
_PARTS_OF_LARGE = 20
_WEIGHTS = np.linspace(0.0, 1.0, 21)
_CERTAIN = 0.01  # a forest's shares as logits stay this far from 0 and 1


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

    def predict(self, sheet: Sheet) -> tuple[np.ndarray, np.ndarray]:
        """Values and standard deviations (n,): targets in their units, or the second class' probability."""
        told, stds = self._tell(sheet, self.networks, self.forests)
        if self.classification:
            chance = 1 / (1 + np.exp(-(told - self.threshold)))
            return chance, np.sqrt(chance * (1 - chance))
        values, spread = self.transform.backward(told), stds * self.transform.slope(told)
        return values, spread if self.recalibration is None else self.recalibration.widths(spread)

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
            parts.append(_logit(np.mean(means, axis=0)) if self.classification else np.mean(means, axis=0))
            variances.append(np.mean(np.square(spreads), axis=0))
            weights.append(1 - self.weight if networks else 1.0)
        told = np.einsum("p,pn->n", weights, parts)
        apart = np.einsum("p,pn->n", weights, (np.stack(parts) - told) ** 2)
        return told, np.sqrt(np.einsum("p,pn->n", weights, variances) + apart + 1e-8)


def learn(start: Start, sheet: Sheet, recipe: Recipe, seed: int) -> Learner:
    """Learn a sheet; raises ValueError where its target is constant."""
    transform = choose_transform(sheet)
    scaled = Sheet(sheet.numbers, sheet.shares, sheet.names, transform.forward(sheet.targets), sheet.classification)
    learner = Learner(start, transform, sheet.classification)
    large = len(sheet) > LARGE
    parts = next((found for rows, found in _PARTS.items() if len(sheet) <= rows), _PARTS_OF_LARGE)
    folds = inner_folds(sheet, parts, seed)
    inputs = describe(start, sheet) if start.trees and not large else None
    told: list[tuple[np.ndarray, ...]] = []
    for fold in range(recipe.copies if large else parts):
        held = folds == fold
        network = tune(_copy(start, seed + fold), start.base, scaled, held, recipe, 100 * seed + fold)
        learner.networks.append(network)
        medians, scales = read_out(network, scaled.take(np.flatnonzero(held)))
        trees = medians, np.zeros(len(medians))
        if inputs is not None:
            forest = grow(inputs[~held], scaled.targets[~held], sheet.classification, 100 * seed + fold)
            learner.forests.append(forest)
            trees = forest.predict(inputs[held])
        told.append((scaled.targets[held], medians, scales, *trees))
    _blend(learner, *(np.concatenate(part) for part in zip(*told, strict=True)))
    return learner


def _blend(  # the four last are of the rows held out, one after another
    learner: Learner,
    targets: np.ndarray,
    medians: np.ndarray,
    scales: np.ndarray,
    means: np.ndarray,
    spread: np.ndarray,
) -> None:
    """Choose the weight of the networks, the threshold between classes, and the shape of the errors."""
    sure = learner.classification
    others = _logit(means) if sure and learner.forests else means
    mixed = [weight * medians + (1 - weight) * others for weight in _WEIGHTS]
    losses = [loss_of(targets, told, sure) for told in mixed]
    best = int(np.argmin(losses)) if learner.forests else len(_WEIGHTS) - 1
    learner.weight, told = float(_WEIGHTS[best]), mixed[best]
    learner.unseen = {"networks": losses[-1], "forests": losses[0], "blend": losses[best]}
    if sure:
        learner.threshold = best_threshold(targets, told)
        return
    doubt = learner.weight * 2 * scales**2 + (1 - learner.weight) * spread**2
    doubt += learner.weight * (1 - learner.weight) * (medians - others) ** 2
    slope, truth = learner.transform.slope(told), learner.transform.backward(targets)
    learner.recalibration = recalibrate(learner.transform.backward(told) - truth, np.sqrt(doubt + 1e-8) * slope)


def best_threshold(targets: np.ndarray, told: np.ndarray) -> float:
    """The logit that parts the classes with the highest balanced accuracy, the middle of those nearly as good."""
    candidates = np.quantile(told, np.linspace(0.02, 0.98, 97))
    positive = targets > 0.5
    hits = np.array([((told[positive] > c).mean() + (told[~positive] <= c).mean()) / 2 for c in candidates])
    return float(candidates[hits >= hits.max() - 0.002].mean())


def describe(start: Start, sheet: Sheet) -> np.ndarray:
    """What forests read (n, columns): statistics of the elements' properties, and the properties that the trunk tells.
    With the trunk's whole summary of a formula beside them, trees found the telling columns less often."""
    statistics = statistics_features(sheet.numbers, sheet.shares, start.base.features)
    told = np.empty((len(sheet), start.trunk.config.tasks), dtype=np.float32)
    with torch.inference_mode():
        for rows, numbers, shares in tiles(sheet, 1024):
            told[rows] = start.trunk.eval()(numbers, shares)[0].numpy()
    return np.concatenate((np.nan_to_num(statistics, posinf=0.0, neginf=0.0), told), axis=1)


def _copy(start: Start, seed: int) -> Network:
    """The trunk with a fresh head for one task."""
    torch.manual_seed(seed)
    config = start.trunk.config
    fresh = Network(NetworkConfig(**{name: getattr(config, name) for name in config.__slots__} | {"tasks": 1}))
    kept = {name: x for name, x in start.trunk.state_dict().items() if not name.startswith("head.")}
    fresh.load_state_dict(fresh.state_dict() | kept)
    return fresh


def _logit(shares: np.ndarray) -> np.ndarray:
    inner = np.clip(shares, _CERTAIN, 1 - _CERTAIN)
    found: np.ndarray = np.log(inner / (1 - inner))
    return found
