"""One stage of training: a model, a budget, and snapshots from which it goes on after a kill."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Generic, Protocol, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

_SNAPSHOT_SECONDS = 60.0
_WARM_UP = 0.03
_CLIP = 1.0
_INNER = ("blocks.", "head.0.", "projector.0.")  # matrices between states

Lesson = TypeVar("Lesson")
Taught = TypeVar("Taught", covariant=True)


class Course(Protocol[Taught]):
    """Batches, shuffled anew each epoch, any of which can be asked by its step."""

    @property
    def epoch_steps(self) -> int: ...

    def __getitem__(self, step: int) -> Taught: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage asks for: seconds of the processor, or a number of steps, which makes it repeatable to the bit;
    rates of learning, from the peak to the final one as a cosine."""

    name: str
    seconds: float
    peak: float
    final: float
    decay: float
    seed: int
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is."""

    step: int = 0
    seconds: float = 0.0
    done: bool = False

    def share(self, stage: Stage) -> float:
        """The share of the stage's budget that is spent."""
        return self.step / stage.steps if stage.steps else self.seconds / stage.seconds


@dataclass(frozen=True, slots=True)
class Trainee(Generic[Lesson]):
    """A model, its loss of a batch, and what can be told of its progress. Whatever the loss draws comes from the
    generator, so that any step can be taken again."""

    model: nn.Module
    objective: Callable[[Lesson, torch.Generator], Tensor]
    report: Callable[[], str]


def fit(trainee: Trainee[Lesson], stage: Stage, batches: Course[Lesson], folder: Path) -> None:
    """Train a model in place until the stage's budget is spent; goes on from a snapshot in the folder."""
    optimizers = make_optimizers(trainee.model, stage.peak, stage.decay)
    progress = _restore(trainee.model, optimizers, stage, folder)
    on_processor = next(trainee.model.parameters()).device.type == "cpu"
    clock = process_time if on_processor else monotonic  # what else runs on a processor does not shorten a training
    begun, kept = clock() - progress.seconds, monotonic()
    trainee.model.train()
    while progress.share(stage) < 1:
        _set_rate(optimizers, stage, progress.share(stage))
        generator = torch.Generator().manual_seed(stage.seed * 1_000_003 + progress.step)
        loss = take_step(trainee, optimizers, batches[progress.step], generator)
        progress = Progress(progress.step + 1, clock() - begun)
        if monotonic() - kept > _SNAPSHOT_SECONDS:
            _save(trainee.model, optimizers, stage, progress, folder)
            epochs = progress.step / batches.epoch_steps
            passed = f"{progress.seconds:.0f} s, {progress.share(stage):.0%}, {epochs:.2f} epochs, loss {loss:.3f}"
            print(f"{stage.name} {passed}, {trainee.report()}", flush=True)
            kept = monotonic()
    if not progress.done:
        _save(trainee.model, optimizers, stage, replace(progress, done=True), folder)
        print(f"{stage.name} done, step {progress.step}, {progress.seconds:.0f} s, {trainee.report()}", flush=True)


def make_optimizers(model: nn.Module, peak: float, decay: float) -> list[Optimizer]:
    """Muon (K. Jordan et al., 2024) for the matrices between states, AdamW for the rest.

    With the steps that a laptop's CPU can make, AdamW alone ends at errors a third larger.
    """
    named = dict(model.named_parameters())
    inner = [x for name, x in named.items() if x.ndim == 2 and name.removeprefix("network.").startswith(_INNER)]
    chosen = {id(parameter) for parameter in inner}
    outer = [parameter for parameter in named.values() if id(parameter) not in chosen]
    adam = torch.optim.AdamW(outer, lr=peak, weight_decay=0.0, betas=(0.9, 0.98), fused=True)
    if not inner:
        return [adam]
    return [torch.optim.Muon(inner, lr=peak, weight_decay=decay, adjust_lr_fn="match_rms_adamw"), adam]


def _set_rate(optimizers: list[Optimizer], stage: Stage, passed: float) -> None:
    warm = min(1.0, passed / _WARM_UP)
    cosine = 0.5 * (1.0 + cos(pi * min(1.0, passed)))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = warm * (stage.final + (stage.peak - stage.final) * cosine)


def take_step(
    trainee: Trainee[Lesson], optimizers: list[Optimizer], lesson: Lesson, generator: torch.Generator
) -> float:
    """One step of learning from one batch; returns its loss."""
    device = next(trainee.model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        loss = trainee.objective(lesson, generator)
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(trainee.model.parameters(), _CLIP)
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.item())


def _save(model: nn.Module, optimizers: list[Optimizer], stage: Stage, progress: Progress, folder: Path) -> None:
    arrays = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for place, optimizer in enumerate(optimizers):
        for number, state in optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{place}.{number}.{name}": value for name, value in state.items()}
    partial = folder / f"{stage.name}.partial"
    save_file(arrays, partial, metadata={"progress": json.dumps(asdict(progress))})
    partial.replace(folder / f"{stage.name}.safetensors")  # a kill while writing leaves the old snapshot


def _restore(model: nn.Module, optimizers: list[Optimizer], stage: Stage, folder: Path) -> Progress:
    path = folder / f"{stage.name}.safetensors"
    if not path.is_file():
        return Progress()
    model.load_state_dict(weights_of(path))
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for name, value in load_file(path).items():
        if name.startswith("optimizer."):
            _, place, number, key = name.split(".")
            states[int(place)].setdefault(int(number), {})[key] = value
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**_about(path))


def weights_of(path: Path) -> dict[str, Tensor]:
    """A snapshot's weights by name."""
    return {name[6:]: value for name, value in load_file(path).items() if name.startswith("model.")}


def spent(path: Path) -> float:
    """The seconds of training that a snapshot took."""
    return float(_about(path)["seconds"])


def _about(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        about: dict[str, Any] = json.loads(file.metadata()["progress"])
        return about
