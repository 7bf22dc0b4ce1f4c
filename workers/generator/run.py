"""A training run: model, optimiser, moving average of weights, and how far it is."""

import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workers.errors import UserError
from workers.generator.losses import Losses, Sums, add, means, per_token

MOMENTS = ("momentum_buffer",), ("exp_avg", "exp_avg_sq", "step")  # of Muon, of AdamW
BETWEEN = "blocks."  # how the names of weights between layers start

Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch")
Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class RunRecipe:
    """How any model is trained; each adds what is its own."""

    peak_rate: float = 2e-3
    last_rate: float = 0.02  # of the peak
    warmup: int = 200
    weight_decay: float = 0.1
    average: float = 0.998  # of the moving average of weights
    checkpoint_seconds: float = 120.0


@dataclass
class Progress:
    """How far a run is."""

    seed: int
    step: int = 0
    epoch: int = 0
    batch: int = 0  # of the epoch
    begun: float = 0.0  # the seconds when the epoch began
    seconds: float = 0.0


class Run(Generic[Model]):
    """A model in training; what it was when it was saved it is again when it is restored, random numbers included."""

    def __init__(self, work: Path, model: Model, recipe: RunRecipe, seed: int, **about: object) -> None:
        self.work, self.model, self.recipe, self.about = work, model, recipe, about  # about: told beside the progress
        self.progress = Progress(seed)
        named = dict(model.named_parameters())
        self.device = next(iter(named.values())).device
        self.optimisers = _optimisers(named, recipe)
        self.average = {name: p.detach().clone() for name, p in named.items()}

    def rate(self, share: float) -> float:
        """Learning rate after this share of the time."""
        warm = min(1.0, (self.progress.step + 1) / self.recipe.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        return self.recipe.peak_rate * warm * (self.recipe.last_rate + (1 - self.recipe.last_rate) * cosine)

    def update(self, losses: Callable[[], Losses], share: float) -> Losses:
        """One step down the losses' gradient; what the losses were."""
        rate = self.rate(share)
        with torch.autocast(self.device.type, torch.bfloat16):
            found = losses()
        self.model.zero_grad(set_to_none=True)
        torch.autograd.backward(per_token(found))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        self.progress.step += 1
        decay = min(self.recipe.average, (self.progress.step + 1) / (self.progress.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.model.parameters()), 1 - decay)
        return {name: (loss.detach(), n) for name, (loss, n) in found.items()}

    def save(self) -> None:
        arrays = {f"model.{k}": v.detach() for k, v in self.model.named_parameters()}
        arrays |= {f"average.{k}": v for k, v in self.average.items()}
        for name, state, moments in self._states():
            arrays |= {f"{key}.{name}": state[key] for key in moments if key in state}
        arrays["random"] = torch.get_rng_state()
        save_file({k: v.contiguous() for k, v in arrays.items()}, self.work / "run.new")
        (self.work / "run.new").replace(self.work / "run.safetensors")
        (self.work / "run.json").write_text(json.dumps({**vars(self.progress), **self.about}))

    def restore(self) -> None:
        """Go on from what was saved; raises FileNotFoundError where nothing was, UserError where it does not fit."""
        arrays = load_file(self.work / "run.safetensors", device=str(self.device))
        state = json.loads((self.work / "run.json").read_text())
        saved = {name: array.shape for name, array in arrays.items() if name.startswith("model.")}
        if saved != {f"model.{name}": p.shape for name, p in self.model.named_parameters()}:
            raise UserError(f"--resume: {self.work} holds a run of a model of another size")
        missing = [f"{key}.{name}" for name, _, moments in self._states() for key in moments]
        missing = [name for name in missing if name not in arrays]
        if state["step"] and missing:
            raise UserError(f"--resume: {self.work} holds a run of an older optimiser, which cannot go on")
        self.progress = Progress(**{field.name: state[field.name] for field in fields(Progress) if field.name in state})
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(arrays[f"model.{name}"])
                self.average[name].copy_(arrays[f"average.{name}"])
        for name, moving, moments in self._states():
            moving |= {key: arrays[f"{key}.{name}"].clone() for key in moments if not missing}
        if "random" in arrays:  # not every older run kept it
            torch.set_rng_state(arrays["random"].cpu())

    def _states(self) -> Iterator[tuple[str, dict[str, Tensor], tuple[str, ...]]]:
        """Every parameter's name, its optimiser's state of it, and the moments that a resumed run needs of that."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        for optimiser, moments in zip(self.optimisers, MOMENTS, strict=True):
            for p in (p for group in optimiser.param_groups for p in group["params"]):
                yield names[id(p)], optimiser.state[p], moments

    def averaged(self) -> Model:
        """A copy of the model with the moving average of its weights."""
        model = deepcopy(self.model)
        model.load_state_dict(self.average, strict=False)
        return model.eval()

    def halves(self) -> Arrays:
        """The moving average of the weights as a checkpoint keeps it."""
        return {name: array.half().cpu().numpy() for name, array in self.average.items()}


def _optimisers(named: dict[str, nn.Parameter], recipe: RunRecipe) -> tuple[torch.optim.Optimizer, ...]:
    """Muon (K. Jordan et al., 2024) for the matrices between layers, its steps as large as AdamW's of the rest."""
    between = [name for name, p in named.items() if name.startswith(BETWEEN) and p.ndim == 2]
    hidden = [named[name] for name in between]
    rest = [p for name, p in named.items() if name not in between]
    matrices, plain = ([p for p in rest if (p.ndim >= 2) == large] for large in (True, False))
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return (
        torch.optim.Muon(hidden, lr=recipe.peak_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98), fused=True),
    )


def spend(
    run: Run[Model],
    budget: float,
    epoch: Callable[[np.random.Generator, float], Iterator[Batch]],
    losses: Callable[[Batch], Losses],
    watch: Callable[[], dict[str, float]],
) -> None:
    """Train until a run has had so many seconds; on a CPU its own time counts.

    `epoch` gives an epoch's batches for its random numbers and the share of the time that was spent when it began.
    `watch` gives losses on what is held out, which are reported after each epoch.
    """
    clock = time.process_time if run.device.type == "cpu" else time.monotonic
    progress = run.progress
    marked, saved = clock() - progress.seconds, progress.seconds
    while progress.seconds < budget:
        sums: Sums = {}
        rng = np.random.default_rng((progress.seed, progress.epoch))
        progress.begun = progress.begun if progress.batch else progress.seconds
        for batch in islice(epoch(rng, progress.begun / budget), progress.batch, None):
            add(sums, run.update(partial(losses, batch), progress.seconds / budget))
            progress.batch += 1
            progress.seconds = clock() - marked
            if progress.seconds >= budget:
                break
            if progress.seconds - saved > run.recipe.checkpoint_seconds:
                saved = progress.seconds
                run.save()
                report(progress, "train", means(sums))
        else:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        report(progress, "train", means(sums))
        report(progress, "val", watch())


def report(progress: Progress, part: str, found: dict[str, float]) -> None:
    text = " ".join(f"{name} {value:.3f}" for name, value in found.items())
    print(f"{progress.seconds / 60:.1f} min, epoch {progress.epoch}, step {progress.step}, {part}: {text}", flush=True)


def known(device: str) -> str:
    """The name of a device that is there; raises UserError with one line for any other."""
    try:
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as exc:  # torch knows them all
        raise UserError(f"device {device!r}: {str(exc).splitlines()[0]}") from exc
    return device


def hardware(device: torch.device) -> str:
    """What a run was made on, for its card."""
    name = "one CPU thread" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return f"{name} ({platform.processor() or platform.machine()})"
