"""A training run: model, optimiser, moving average of weights, and how far it is."""

import json
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq", "step")

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained."""

    batch_tokens: int = 4096
    peak_rate: float = 2e-3
    last_rate: float = 0.02  # of the peak
    warmup: int = 150
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
    seconds: float = 0.0


class Run(Generic[Model]):
    """A model in training; what it was when it was saved it is again when it is restored."""

    def __init__(self, work: Path, model: Model, recipe: Recipe, seed: int) -> None:
        self.work, self.model, self.recipe = work, model, recipe
        self.progress = Progress(seed)
        named = dict(model.named_parameters())
        self.device = next(iter(named.values())).device
        matrices, plain = ([p for p in named.values() if (p.ndim >= 2) == large] for large in (True, False))
        groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98), fused=True)
        self.average = {name: p.detach().clone() for name, p in named.items()}

    def rate(self, share: float) -> float:
        """Learning rate after this share of the time."""
        warm = min(1.0, (self.progress.step + 1) / self.recipe.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        return self.recipe.peak_rate * warm * (self.recipe.last_rate + (1 - self.recipe.last_rate) * cosine)

    def update(self, loss_of: Callable[[], Tensor], share: float) -> float:
        """One step down a loss's gradient; what the loss was."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(share)
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = loss_of()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.progress.step += 1
        decay = min(self.recipe.average, (self.progress.step + 1) / (self.progress.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.model.parameters()), 1 - decay)
        return float(loss.detach())

    def save(self) -> None:
        arrays = {f"model.{k}": v.detach() for k, v in self.model.named_parameters()}
        arrays |= {f"average.{k}": v for k, v in self.average.items()}
        names = {id(p): k for k, p in self.model.named_parameters()}
        for parameter, state in self.optimiser.state.items():
            arrays |= {f"{key}.{names[id(parameter)]}": state[key] for key in MOMENTS}
        save_file({k: v.contiguous() for k, v in arrays.items()}, self.work / "run.new")
        (self.work / "run.new").replace(self.work / "run.safetensors")
        (self.work / "run.json").write_text(json.dumps(vars(self.progress)))

    def restore(self) -> None:
        """Go on from what was saved; raises FileNotFoundError where nothing was."""
        arrays = load_file(self.work / "run.safetensors", device=str(self.device))
        self.progress = Progress(**json.loads((self.work / "run.json").read_text()))
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(arrays[f"model.{name}"])
                self.average[name].copy_(arrays[f"average.{name}"])
                self.optimiser.state[p] = {key: arrays[f"{key}.{name}"].clone() for key in MOMENTS}

    def averaged(self) -> Model:
        """A copy of the model with the moving average of its weights."""
        model = deepcopy(self.model)
        model.load_state_dict(self.average, strict=False)
        return model.eval()
