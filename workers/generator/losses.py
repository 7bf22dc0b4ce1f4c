"""Losses by kind of token, their means over many batches, and targets with a blur."""

from collections.abc import Callable, Iterable, Sized
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

OFFSET = "OFFSET"  # a loss beside those of tokens: it counts no token and is no part of what a crystal takes

Losses = dict[str, tuple[Tensor, int]]  # summed loss and number of tokens of each kind
Sums = dict[str, tuple[float, int]]

Batch = TypeVar("Batch", bound=Sized)  # as long as it has crystals


def per_token(found: Losses) -> Tensor:
    """All losses together, by the number of tokens."""
    count = sum(n for name, (_, n) in found.items() if name != OFFSET)
    return torch.stack([loss for loss, _ in found.values()]).sum() / count


def add(sums: Sums, found: Losses) -> None:
    for name, (loss, n) in found.items():
        before, count = sums.get(name, (0.0, 0))
        sums[name] = before + float(loss), count + n


def means(sums: Sums) -> dict[str, float]:
    return {name: loss / max(n, 1) for name, (loss, n) in sums.items()}


def measured(losses: Callable[[Batch], Losses], batches: Iterable[Batch], device: torch.device) -> dict[str, float]:
    """Mean loss for each kind of token, and nats of a whole crystal."""
    sums: Sums = {}
    crystals = 0
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        for batch in batches:
            crystals += len(batch)
            add(sums, losses(batch))
    whole = sum(loss for name, (loss, _) in sums.items() if name != OFFSET)
    return {**means(sums), "crystal": whole / max(crystals, 1)}


@cache
def blurred(count: int, circular: bool, width: float, device: torch.device) -> Tensor:
    """Row i: the target distribution for bin i of a number, with this standard deviation in bins."""
    steps = torch.arange(count, device=device)
    apart = (steps[:, None] - steps).abs()
    apart = torch.minimum(apart, count - apart) if circular else apart
    return torch.softmax(-((apart / width) ** 2) / 2, dim=1)
