"""One recipe for any table of compositions: copies of a trunk and randomised trees, each blind to a part of the table.

They are blended by how they fare on the parts that they have not seen.
"""

from collections.abc import Callable

import numpy as np
import torch

from workers.predictors.calibration import recalibrate
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.tuning.growing import grow
from workers.predictors.tuning.learner import Learner, Start, Trials, describe, logit
from workers.predictors.tuning.sheet import Sheet, choose_transform, inner_folds
from workers.predictors.tuning.specialist import Recipe, loss_of, read_out, tune

TABLES = Recipe(rows=2_400_000, copies=2)  # for any table that people bring
LARGE = 20_000  # rows from which one part alone is held out, and no forest is grown: the network needs no help there
_PARTS = {8_000: 5, LARGE: 3}  # by the most rows: parts, all of which are held out in turn
PARTS_OF_LARGE = 20
_WEIGHTS = np.linspace(0.0, 1.0, 21)


OnPart = Callable[[int, int], None]


def learn(start: Start, sheet: Sheet, recipe: Recipe, seed: int, on_part: OnPart = lambda done, parts: None) -> Learner:
    """Learn a sheet, telling after each part how many of how many are done; raises ValueError where its target is
    constant."""
    transform = choose_transform(sheet)
    scaled = Sheet(sheet.numbers, sheet.shares, sheet.names, transform.forward(sheet.targets), sheet.classification)
    learner = Learner(start, transform, sheet.classification)
    large = len(sheet) > LARGE
    parts = next((found for rows, found in _PARTS.items() if len(sheet) <= rows), PARTS_OF_LARGE)
    folds = inner_folds(sheet, parts, seed)
    inputs = describe(start, sheet) if start.trees and not large else None
    told: list[tuple[np.ndarray, ...]] = []
    rounds = recipe.copies if large else parts
    for fold in range(rounds):
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
        on_part(fold + 1, rounds)
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
    others = logit(means) if sure and learner.forests else means
    mixed = [weight * medians + (1 - weight) * others for weight in _WEIGHTS]
    losses = [loss_of(targets, told, sure) for told in mixed]
    best = int(np.argmin(losses)) if learner.forests else len(_WEIGHTS) - 1
    learner.weight, told = float(_WEIGHTS[best]), mixed[best]
    learner.unseen = {"networks": losses[-1], "forests": losses[0], "blend": losses[best]}
    if sure:
        learner.threshold = best_threshold(targets, told)
        learner.trials = Trials(targets, *learner.sure(told))
        return
    doubt = learner.weight * 2 * scales**2 + (1 - learner.weight) * spread**2
    doubt += learner.weight * (1 - learner.weight) * (medians - others) ** 2
    values, truths = learner.transform.backward(told), learner.transform.backward(targets)
    stds = np.sqrt(doubt + 1e-8) * learner.transform.slope(told)
    learner.recalibration = recalibrate(values - truths, stds)
    learner.trials = Trials(truths, values, learner.recalibration.widths(stds))


def best_threshold(targets: np.ndarray, told: np.ndarray) -> float:
    """The logit that parts the classes with the highest balanced accuracy, the middle of those nearly as good."""
    positive = targets > 0.5
    levels = np.linspace(0.01, 0.99, 99)  # of each class, so that a rare one is looked at as closely
    candidates = np.concatenate([np.quantile(told[part], levels) for part in (positive, ~positive)])
    hits = np.array([((told[positive] > c).mean() + (told[~positive] <= c).mean()) / 2 for c in candidates])
    return float(candidates[hits >= hits.max() - 0.002].mean())


def _copy(start: Start, seed: int) -> Network:
    """The trunk with a fresh head for one task."""
    torch.manual_seed(seed)
    config = start.trunk.config
    fresh = Network(NetworkConfig(**{name: getattr(config, name) for name in config.__slots__} | {"tasks": 1}))
    kept = {name: x for name, x in start.trunk.state_dict().items() if not name.startswith("head.")}
    fresh.load_state_dict(fresh.state_dict() | kept)
    return fresh
