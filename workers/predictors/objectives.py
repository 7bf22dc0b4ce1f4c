"""What a stage of training wants of a network: hidden tokens guessed, or properties told."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from workers.predictors.batches import Batch
from workers.predictors.network import Network, mask_tokens, share_class


@dataclass(frozen=True, slots=True)
class Hiding:
    """Which tokens are hidden: in a share of the rows, each at a rate drawn for the row up to the highest."""

    rows: float
    highest: float = 1.0

    def __call__(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.rand(len(batch.numbers), 1, generator=generator)
        rate = torch.rand(len(batch.numbers), 1, generator=generator) * self.highest
        return mask_tokens(batch.numbers, batch.shares, torch.where(rows < self.rows, rate, 0.0), generator)


@dataclass(frozen=True, slots=True)
class Telling:
    """Properties, by weights of the tasks, and hidden tokens, by a weight of their own."""

    network: Network
    hiding: Hiding
    task_weights: tuple[float, ...]
    guess_weight: float = 0.0

    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor:
        device = self.network.table.device
        numbers, shares = (hidden.to(device) for hidden in self.hiding(batch, generator))
        states = self.network.encode(numbers, shares)
        loss = torch.zeros((), device=device)
        if any(self.task_weights):
            medians, scales = self.network.read(states, shares)
            weights = torch.tensor(self.task_weights, device=device)
            loss = property_loss(medians, scales, batch.labels.to(device), weights)
        if self.guess_weight:
            loss = loss + self.guess_weight * guess_loss(self.network.guess(states), batch, numbers, shares)
        return loss


def property_loss(medians: Tensor, scales: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Absolute error, plus the Laplace likelihood of the scale alone, averaged over known labels.

    The likelihood sees the error as a constant: a joint likelihood would neglect what is hard to predict.
    """
    known = labels.isfinite()
    errors = (medians - torch.where(known, labels, 0.0)).abs()
    likelihood = errors.detach() * torch.exp(-scales) + scales
    losses = torch.where(known, errors + 0.2 * likelihood, 0.0)
    return (losses.sum(0) / known.sum(0).clamp(min=16) * weights).sum()


def guess_loss(logits: tuple[Tensor, Tensor], batch: Batch, numbers: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of the hidden elements and of the hidden shares."""
    total = torch.zeros((), device=numbers.device)
    true_numbers, true_shares = batch.numbers.to(numbers.device), batch.shares.to(numbers.device)
    for guessed, hidden, truth in (
        (logits[0], numbers != true_numbers, true_numbers),
        (logits[1], shares != true_shares, share_class(true_shares)),
    ):
        total = total + F.cross_entropy(guessed[hidden], truth[hidden], reduction="sum") / hidden.sum().clamp(min=1)
    return total
