"""Fine-tuning: copies of a trunk that learn one table, each with a fresh head and its own part held out."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, cos, pi

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workers.predictors.batches import Batch, Batches, Scaling
from workers.predictors.fitting import Trainee, make_optimizers, take_step
from workers.predictors.network import Network
from workers.predictors.objectives import Hiding, property_loss
from workers.predictors.table import Table
from workers.predictors.tuning.sheet import Sheet

_UNIT = Scaling(np.zeros(1), np.ones(1))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a copy is fine-tuned, whatever the table: `rows` are those that it sees in all, at most `epochs` times the
    table; the rate falls as a cosine; the best of `looks` at the held-out part is kept. Of a large table there are
    `copies`, each with its own small part held out."""

    epochs: int = 30
    rows: int = 1_200_000
    copies: int = 1
    looks: int = 12
    peak: float = 1e-3
    final: float = 1e-5
    decay: float = 0.05
    hidden: float = 0.1

    def batch(self, rows: int) -> int:
        """Rows of one batch: some fifteen steps an epoch, as far as batches of 16 to 512 allow."""
        return int(np.clip(2 ** round(np.log2(max(rows, 1) / 15)), 16, 512))


@dataclass(frozen=True, slots=True)
class Deciding:
    """Which class, in logits; both classes weigh the same, however rare."""

    network: Network
    hiding: Hiding
    weights: tuple[float, float]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor:
        numbers, shares = self.hiding(batch, generator)
        logits, _ = self.network(numbers, shares)
        weights = torch.where(batch.labels > 0.5, self.weights[1], self.weights[0])
        return F.binary_cross_entropy_with_logits(logits, batch.labels, weights)


@dataclass(frozen=True, slots=True)
class Measuring:
    """How much, with an honest scale."""

    network: Network
    hiding: Hiding

    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor:
        numbers, shares = self.hiding(batch, generator)
        medians, scales = self.network(numbers, shares)
        return property_loss(medians, scales, batch.labels, torch.ones(1))


def tune(network: Network, base: Table, sheet: Sheet, inner: np.ndarray, recipe: Recipe, seed: int) -> Network:
    """Fine-tune a network in place on the rows of a sheet that `inner` (n,) leaves in; those that it holds out tell
    when it was best. Targets are as networks learn them, `base` has the vocabulary."""
    table = as_table(base, sheet)
    rows, held = np.flatnonzero(~inner), np.flatnonzero(inner)
    size = recipe.batch(len(rows))
    batches = Batches(table, _UNIT, rows, size, (seed,))
    steps = max(1, ceil(min(recipe.epochs * len(rows), recipe.rows) / len(rows) * batches.epoch_steps))
    trainee = Trainee(network, _objective(network, sheet, rows, recipe), str)
    optimizers = make_optimizers(network, recipe.peak, recipe.decay)
    best = (np.inf, {name: value.clone() for name, value in network.state_dict().items()})
    looks = set(np.linspace(steps / recipe.looks, steps, recipe.looks).round().astype(int).tolist())
    for step in range(steps):
        set_rate(optimizers, recipe, step / steps)
        network.train()
        take_step(trainee, optimizers, batches[step], torch.Generator().manual_seed(1_000_003 * seed + step))
        if step + 1 in looks:
            loss = loss_of(sheet.targets[held], read_out(network, sheet.take(held))[0], sheet.classification)
            if loss <= best[0]:
                best = (loss, {name: value.clone() for name, value in network.state_dict().items()})
    network.load_state_dict(best[1])
    return network.eval()


def _objective(
    network: Network, sheet: Sheet, rows: np.ndarray, recipe: Recipe
) -> Callable[[Batch, torch.Generator], Tensor]:
    hiding = Hiding(rows=recipe.hidden)
    if not sheet.classification:
        return Measuring(network, hiding)
    share = float(np.clip(sheet.targets[rows].mean(), 0.02, 0.98))
    return Deciding(network, hiding, (0.5 / (1 - share), 0.5 / share))


def set_rate(optimizers: list[torch.optim.Optimizer], recipe: Recipe, passed: float) -> None:
    """The rate of learning at a share of the steps."""
    rate = recipe.final + (recipe.peak - recipe.final) * 0.5 * (1 + cos(pi * passed))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = min(1.0, passed / 0.05 + 0.02) * rate


def as_table(base: Table, sheet: Sheet) -> Table:
    """A sheet as the table that batches are made of."""
    labels = sheet.targets[:, None].astype(np.float32)
    splits = np.zeros(len(sheet), dtype=np.int8)
    return Table(base.elements, base.features, sheet.numbers, sheet.shares, labels, splits, sheet.names)


@torch.inference_mode()
def read_out(network: Network, sheet: Sheet, tile: int = 1024) -> tuple[np.ndarray, np.ndarray]:
    """Medians (or logits) and Laplace scales (n,) of a sheet's rows."""
    found = np.empty((2, len(sheet)))
    for rows, numbers, shares in tiles(sheet, tile):
        medians, scales = network.eval()(numbers, shares)
        found[:, rows] = medians[:, 0].numpy(), scales[:, 0].exp().numpy()
    return found[0], found[1]


def tiles(sheet: Sheet, tile: int) -> list[tuple[np.ndarray, Tensor, Tensor]]:
    """Rows, numbers and shares of formulas of one length at a time, unknown elements counted by their shares."""
    lengths = (sheet.shares > 0).sum(axis=1)
    found = []
    for length in np.unique(lengths):
        group = np.flatnonzero(lengths == length)
        for start in range(0, len(group), tile):
            rows = group[start : start + tile]
            numbers = torch.from_numpy(sheet.numbers[rows, :length].astype(np.int64))
            found.append((rows, numbers, torch.from_numpy(sheet.shares[rows, :length])))
    return found


def loss_of(targets: np.ndarray, told: np.ndarray, classification: bool) -> float:
    """What early stopping and blending look at: the mean absolute error, or the logistic loss with classes balanced."""
    if not classification:
        return float(np.abs(told - targets).mean())
    positive = targets > 0.5
    losses = np.logaddexp(0.0, np.where(positive, -told, told))
    return float(np.mean([losses[group].mean() for group in (positive, ~positive) if group.any()]))
