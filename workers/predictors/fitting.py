"""One stage of training: a network, a time budget, and snapshots from which it goes on after a kill."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from workers.predictors.batches import Batch, Batches
from workers.predictors.network import Network, mask_tokens, share_class

_SNAPSHOT_SECONDS = 60.0
_WARM_UP = 0.03
_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage asks for; rates of learning as shares of time pass, weights of the tasks in the loss."""

    name: str
    seconds: float
    peak: float
    final: float
    decay: float
    masked_rows: float
    guess_weight: float
    task_weights: tuple[float, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is."""

    step: int = 0
    seconds: float = 0.0
    done: bool = False


def fit(network: Network, stage: Stage, batches: Batches, folder: Path, report: Callable[[Network], str]) -> None:
    """Train a network in place until the stage's seconds are spent; goes on from a snapshot in the folder."""
    optimizers = _optimizers(network, stage)
    progress = _restore(network, optimizers, stage, folder)
    begun, kept = monotonic() - progress.seconds, monotonic()
    while progress.seconds < stage.seconds:
        _set_rate(optimizers, stage, progress.seconds / stage.seconds)
        loss = _step(network, optimizers, stage, batches[progress.step], progress.step)
        progress = Progress(progress.step + 1, monotonic() - begun)
        if monotonic() - kept > _SNAPSHOT_SECONDS:
            _save(network, optimizers, stage, progress, folder)
            epochs = progress.step / batches.epoch_steps
            passed = f"{progress.seconds:.0f} s, {epochs:.2f} epochs, loss {loss:.3f}"
            print(f"{stage.name} {passed}, {report(network)}", flush=True)
            kept = monotonic()
    if not progress.done:
        _save(network, optimizers, stage, replace(progress, done=True), folder)
        print(f"{stage.name} done, step {progress.step}, {report(network)}", flush=True)


def _optimizers(network: Network, stage: Stage) -> list[Optimizer]:
    """Muon (K. Jordan et al., 2024) for the matrices between states, AdamW for the rest.

    With the steps that a laptop's CPU can make, AdamW alone ends at errors a third larger.
    """
    inner = [x for name, x in network.named_parameters() if x.ndim == 2 and name.startswith(("blocks.", "head.0."))]
    chosen = {id(parameter) for parameter in inner}
    outer = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    return [
        torch.optim.Muon(inner, lr=stage.peak, weight_decay=stage.decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=stage.peak, weight_decay=0.0, betas=(0.9, 0.98), fused=True),
    ]


def _set_rate(optimizers: list[Optimizer], stage: Stage, passed: float) -> None:
    warm = min(1.0, passed / _WARM_UP)
    cosine = 0.5 * (1.0 + cos(pi * min(1.0, passed)))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = warm * (stage.final + (stage.peak - stage.final) * cosine)


def _step(network: Network, optimizers: list[Optimizer], stage: Stage, batch: Batch, step: int) -> float:
    device = network.table.device
    generator = torch.Generator().manual_seed(stage.seed * 1_000_003 + step)
    rows = torch.rand(len(batch.numbers), 1, generator=generator)
    rate = torch.rand(len(batch.numbers), 1, generator=generator)
    rate = torch.where(rows < stage.masked_rows, rate, 0.0)
    numbers, shares = (hidden.to(device) for hidden in mask_tokens(batch.numbers, batch.shares, rate, generator))
    batch = Batch(batch.numbers.to(device), batch.shares.to(device), batch.labels.to(device))
    with torch.autocast(device.type, torch.bfloat16):
        states = network.encode(numbers, shares)
        medians, scales = network.read(states, shares)
        loss = property_loss(medians, scales, batch.labels, torch.tensor(stage.task_weights, device=device))
        if stage.guess_weight:
            loss = loss + stage.guess_weight * guess_loss(network.guess(states), batch, numbers, shares)
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


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
    for guessed, hidden, truth in (
        (logits[0], numbers != batch.numbers, batch.numbers),
        (logits[1], shares != batch.shares, share_class(batch.shares)),
    ):
        total = total + F.cross_entropy(guessed[hidden], truth[hidden], reduction="sum") / hidden.sum().clamp(min=1)
    return total


def _save(network: Network, optimizers: list[Optimizer], stage: Stage, progress: Progress, folder: Path) -> None:
    arrays = {f"network.{name}": value.contiguous() for name, value in network.state_dict().items()}
    for place, optimizer in enumerate(optimizers):
        for number, state in optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{place}.{number}.{name}": value for name, value in state.items()}
    partial = folder / f"{stage.name}.partial"
    save_file(arrays, partial, metadata={"progress": json.dumps(asdict(progress))})
    partial.replace(folder / f"{stage.name}.safetensors")  # a kill while writing leaves the old snapshot


def _restore(network: Network, optimizers: list[Optimizer], stage: Stage, folder: Path) -> Progress:
    path = folder / f"{stage.name}.safetensors"
    if not path.is_file():
        return Progress()
    arrays = load_file(path)
    network.load_state_dict({name[8:]: value for name, value in arrays.items() if name.startswith("network.")})
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for name, value in arrays.items():
        if name.startswith("optimizer."):
            _, place, number, key = name.split(".")
            states[int(place)].setdefault(int(number), {})[key] = value
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**_about(path))


def spent(path: Path) -> float:
    """The seconds of training that a snapshot took."""
    return float(_about(path)["seconds"])


def _about(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        about: dict[str, Any] = json.loads(file.metadata()["progress"])
        return about
