"""The predictor's transformer: (element, share) tokens in, a median and a spread for each task out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workers.predictors.table import MASK

SHARE_BINS = 40  # classes of the masked-share task


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Sizes of one network; `elements` and `features` are the shape of the table of elemental properties."""

    elements: int
    features: int
    tasks: int
    width: int = 160
    layers: int = 3
    heads: int = 5
    ratio: int = 2
    waves: int = 16


class Shares(nn.Module):
    """Shares of the atoms as sines of the share and of its logarithm; 0.0 is unknown and has a vector of its own."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(4 * config.waves, config.width)
        self.unknown = nn.Parameter(torch.zeros(config.width))
        # From half a period over the whole range up to steps of 1/50: Fe0.62C0.38 differs from Fe0.6C0.4.
        self.register_buffer("speeds", torch.pi * torch.logspace(-0.3, 1.7, config.waves), persistent=False)
        self.speeds: Tensor

    def forward(self, shares: Tensor) -> Tensor:  # (B, T) -> (B, T, C)
        known = shares > 0
        logs = torch.where(known, shares, torch.ones_like(shares)).log() / 4.0
        angles = torch.stack((shares, logs), dim=-1).unsqueeze(-1) * self.speeds  # (B, T, 2, W)
        waves = torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(2)  # (B, T, 4W)
        return torch.where(known.unsqueeze(-1), self.linear(waves), self.unknown)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention written out, for training: on a few tokens a CPU's fused backward pass takes twice the time.

    Not for prediction: products of small matrices in a batch differ in the last bit with their place in the batch.
    """
    weights = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
    return weights.to(value.dtype) @ value


class Block(nn.Module):
    """One pre-norm transformer layer. No padding ever enters: a batch holds formulas of one length."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.mix = nn.Linear(config.width, config.width)
        self.feed_norm = nn.LayerNorm(config.width)
        self.rise = nn.Linear(config.width, config.ratio * config.width)
        self.fall = nn.Linear(config.ratio * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T, C)
        batch, length, width = x.shape
        joint = self.query_key_value(self.attention_norm(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = joint.permute(2, 0, 3, 1, 4)  # (B, H, T, C/H) each
        attend = _attend if self.training else F.scaled_dot_product_attention
        attended = attend(query, key, value)
        x = x + self.mix(attended.transpose(1, 2).reshape(batch, length, width))
        fed: Tensor = self.fall(F.gelu(self.rise(self.feed_norm(x)), approximate="tanh"))
        return x + fed


class Network(nn.Module):
    """One member of the ensemble."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.embedding = nn.Embedding(config.elements + 1, width)
        self.register_buffer("table", torch.zeros(config.elements + 1, config.features))  # row MASK stays zero
        self.table: Tensor
        self.properties = nn.Linear(config.features, width, bias=False)
        self.shares = Shares(config)
        self.summary = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        answers = nn.Linear(2 * width, 2 * config.tasks)
        self.head = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), answers)
        self.guess_element = nn.Linear(width, config.elements + 1)
        self.guess_share = nn.Linear(width, SHARE_BINS)
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.normal_(self.summary, std=0.5)
        nn.init.zeros_(answers.weight)
        nn.init.zeros_(answers.bias)

    def encode(self, numbers: Tensor, shares: Tensor) -> Tensor:
        """States (B, 1 + T, C) of the summary and of each token, from numbers and shares (B, T)."""
        tokens = self.embedding(numbers) + self.properties(self.table[numbers]) + self.shares(shares)
        x = torch.cat((self.summary.expand(len(numbers), 1, -1), tokens), dim=1)
        for block in self.blocks:
            x = block(x)
        states: Tensor = self.norm(x)
        return states

    def read(self, states: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Medians and logarithms of the Laplace scales (B, task), in units of each task's spread."""
        medians, scales = self.head(summarise(states, shares)).float().chunk(2, dim=-1)
        return medians, scales.clamp(-5.0, 3.0)

    def guess(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of each token's element (B, T, 1 + elements) and share (B, T, SHARE_BINS)."""
        return self.guess_element(states[:, 1:]).float(), self.guess_share(states[:, 1:]).float()

    def forward(self, numbers: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        return self.read(self.encode(numbers, shares), shares)


def summarise(states: Tensor, shares: Tensor) -> Tensor:
    """What the network makes of a formula (B, 2C): the summary's state, and the mean of the tokens' states."""
    mean = (states[:, 1:] * shares.unsqueeze(-1)).sum(dim=1)  # an unknown share weighs nothing
    return torch.cat((states[:, 0], mean), dim=-1)


def share_class(shares: Tensor) -> Tensor:
    """The class of the masked-share task that a share belongs to."""
    return (shares * SHARE_BINS).long().clamp(max=SHARE_BINS - 1)


def mask_tokens(numbers: Tensor, shares: Tensor, rate: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide tokens at a rate (B, 1): of those hidden half lose both element and share, the others one of them.

    A token without both is what the explainer calls absent, so that the model knows the state.
    """
    draw = torch.rand(numbers.shape, generator=generator)
    kind = torch.rand(numbers.shape, generator=generator)
    hidden = draw < rate
    hide_number = hidden & (kind < 0.8)
    hide_share = hidden & ((kind < 0.5) | (kind >= 0.8))
    return torch.where(hide_number, MASK, numbers), torch.where(hide_share, 0.0, shares)
