"""A training run: model, optimiser, moving average of weights, and how far it is."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from workers.generator.symmetry.losses import losses
from workers.generator.symmetry.network import SIZES, GeneratorModel
from workers.generator.symmetry.tokens import load_features

STEPS = 1 << 32  # more than a run has


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the generator is trained."""

    size: str = "small"
    batch_rows: int = 1536
    peak_rate: float = 1.5e-3
    warmup: int = 200
    weight_decay: float = 0.1
    average: float = 0.998  # of the moving average of weights
    blur: float = 2.0  # standard deviation in bins of the targets of numbers
    proposals: float = 0.3  # share of the crystals whose formula is proposed in an epoch
    extra: float = 0.3  # share of the later structures that an epoch reads,
    long_rows: int = 45  # and of those of more rows
    long_extra: float = 0.15  # a smaller one, for they cost more than they teach
    checkpoint_seconds: float = 120.0


class Run:
    """A training run: model, optimiser, moving average, and how far it is."""

    def __init__(self, work: Path, recipe: Recipe, seed: int, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        features = load_features(work)
        arrays = [torch.from_numpy(features[name]) for name in ("element_features", "site_features")]
        self.config = SIZES[recipe.size]
        self.device = torch.device(device)
        self.model = GeneratorModel(self.config, *arrays).to(device)
        self.recipe, self.work, self.seed = recipe, work, seed
        plain = [p for p in self.model.parameters() if p.ndim < 2]
        matrices = [p for p in self.model.parameters() if p.ndim >= 2]
        groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98), fused=True)
        self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.step, self.epoch, self.batch, self.seconds = 0, 0, 0, 0.0  # batch: how many of the epoch are done

    def rate(self, share: float) -> float:
        """Learning rate after this share of the time."""
        warm = min(1.0, (self.step + 1) / self.recipe.warmup)
        return self.recipe.peak_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))

    def update(self, rows: Tensor, share: float) -> dict[str, tuple[float, int]]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(share)
        torch.manual_seed(self.seed * STEPS + self.step)  # a run that goes on drops out what it would have dropped
        with torch.autocast(self.device.type, torch.bfloat16):
            parts = losses(self.model, rows.to(self.device), self.recipe.blur)
        count = sum(n for name, (_, n) in parts.items() if name != "OFFSET")
        total = torch.stack([loss for loss, _ in parts.values()]).sum() / count
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.model.parameters()), 1 - decay)
        return {name: (float(loss.detach()), n) for name, (loss, n) in parts.items()}

    def save(self) -> None:
        arrays = {f"model.{k}": v.detach() for k, v in self.model.named_parameters()}
        arrays |= {f"average.{k}": v for k, v in self.average.items()}
        names = {id(p): k for k, p in self.model.named_parameters()}
        for parameter, state in self.optimiser.state.items():
            for key in ("exp_avg", "exp_avg_sq", "step"):
                arrays[f"{key}.{names[id(parameter)]}"] = state[key]
        save_file({k: v.contiguous() for k, v in arrays.items()}, self.work / "run.new")
        (self.work / "run.new").replace(self.work / "run.safetensors")
        state = {name: getattr(self, name) for name in ("step", "epoch", "batch", "seconds", "seed")}
        (self.work / "run.json").write_text(json.dumps({**state, "config": asdict(self.config)}))

    def restore(self) -> None:
        arrays = load_file(self.work / "run.safetensors")
        state = json.loads((self.work / "run.json").read_text())
        self.step, self.epoch, self.batch, self.seconds = (state[k] for k in ("step", "epoch", "batch", "seconds"))
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(arrays[f"model.{name}"])
                self.average[name].copy_(arrays[f"average.{name}"])
                keys = ("exp_avg", "exp_avg_sq", "step")
                self.optimiser.state[p] = {key: arrays[f"{key}.{name}"].to(p.device, copy=True) for key in keys}

    def averaged(self) -> GeneratorModel:
        """A copy of the model with the moving average of its weights."""
        model = GeneratorModel(self.config, self.model.element_features, self.model.site_features).to(self.device)
        model.load_state_dict(self.average, strict=False)
        return model.eval()
