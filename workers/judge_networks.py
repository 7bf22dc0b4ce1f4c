"""The heads of the structure predictor: small networks whose outputs are a median and a scale for each property."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

LAYERS = 4
CLIP = 6.0  # spreads from the training mean beyond which an input says no more
SCALES = (-4.0, 4.0)  # logarithms of the likelihood's scale, in units of the target


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one head is trained."""

    width: int = 256
    epochs: int = 35
    batch: int = 256
    rate: float = 2e-3
    decay: float = 5e-2
    dropout: float = 0.1


def build(inputs: int, outputs: int, recipe: Recipe) -> nn.Sequential:
    """A network from inputs to the medians and log scales of the outputs."""
    widths = [inputs, *[recipe.width] * (LAYERS - 1), 2 * outputs]
    layers: list[nn.Module] = []
    for i, (wide, narrow) in enumerate(zip(widths, widths[1:], strict=False)):
        layers += [nn.Linear(wide, narrow), nn.SiLU(), nn.Dropout(recipe.dropout if i < LAYERS - 2 else 0.0)]
    return nn.Sequential(*layers[:-2])


def loss(answer: Tensor, targets: Tensor) -> Tensor:
    """The negative log likelihood of a Laplace distribution, (B, 2 T) against (B, T); unknown targets are NaN."""
    median, scale = answer.chunk(2, dim=1)
    scale = scale.clamp(*SCALES)
    known = ~targets.isnan()
    gaps = torch.where(known, median - targets.nan_to_num(), 0.0).abs()
    return ((gaps * torch.exp(-scale) + scale) * known).sum() / known.sum()


def fit(inputs: Tensor, targets: Tensor, recipe: Recipe, seed: int) -> Iterator[nn.Sequential]:
    """Train a network on rows (n, p) and (n, T); yields it after every epoch."""
    torch.manual_seed(seed)  # initial weights and dropout draw from the global generator
    order = torch.Generator().manual_seed(seed)
    network = build(inputs.shape[1], targets.shape[1], recipe).to(inputs.device)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    batches = len(inputs) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, recipe.epochs * batches)
    for _ in range(recipe.epochs):
        network.train()
        shuffled = torch.randperm(len(inputs), generator=order).to(inputs.device)
        for rows in shuffled[: batches * recipe.batch].split(recipe.batch):
            optimizer.zero_grad()
            loss(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()
            schedule.step()
        yield network.eval()


def to_arrays(network: nn.Sequential) -> dict[str, np.ndarray]:
    """Weights (in, out) and biases by layer."""
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    arrays = {}
    for i, layer in enumerate(linear):
        arrays[f"weight{i}"] = layer.weight.detach().cpu().numpy().T.copy()
        arrays[f"bias{i}"] = layer.bias.detach().cpu().numpy()
    return arrays


class Ensemble:
    """Several heads side by side, as stacked arrays."""

    def __init__(self, arrays: Mapping[str, np.ndarray], device: str) -> None:
        self._center, self._spread = (_tensor(arrays[name], device) for name in ("center", "spread"))
        self._weights = [_tensor(arrays[f"weight{i}"], device) for i in range(LAYERS)]
        self._biases = [_tensor(arrays[f"bias{i}"], device).unsqueeze(1) for i in range(LAYERS)]

    @torch.no_grad()
    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For rows (B, p) the medians (B, T) and standard deviations (B, T), in units of the targets: the spread of the
        members and the variance 2 b² of their Laplace distributions together."""
        rows = standardize(torch.as_tensor(inputs, device=self._center.device), self._center, self._spread)
        state = rows.expand(len(self._weights[0]), *rows.shape)
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            state = nn.functional.silu(torch.baddbmm(bias, state, weight))
        medians, scales = torch.baddbmm(self._biases[-1], state, self._weights[-1]).double().chunk(2, dim=2)
        noise = 2 * torch.exp(2 * scales.clamp(*SCALES)).mean(dim=0)
        spread = medians.var(dim=0, correction=0)
        return medians.mean(dim=0).cpu().numpy(), (noise + spread).sqrt().cpu().numpy()


def standardize(rows: Tensor, center: Tensor, spread: Tensor) -> Tensor:
    """Rows (B, p) in spreads from the center, clipped."""
    return ((rows - center) / spread).clamp(-CLIP, CLIP)


def _tensor(array: np.ndarray, device: str) -> Tensor:
    return torch.as_tensor(array.astype(np.float32), device=device)
