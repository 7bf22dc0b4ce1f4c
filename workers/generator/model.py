"""The crystal generator's network: configuration, blocks, model."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.generator.grammar import (
    ANGLE,
    ANGLE_AT,
    COORDINATE_AT,
    ELEMENTS,
    GROUP_AT,
    MAX_ATOMS,
    NO_SITE,
    RATIO,
    RATIO_AT,
    SITE_AT,
    VALUES,
    VOLUME,
    VOLUME_AT,
    Column,
    Role,
)
from workers.generator.orbits import GRID
from workers.spacegroups import GROUPS

Tables = tuple[Tensor, ...]

ORBITS = 24
WAVES = 24  # cosines that let neighbouring bins share what they mean


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Size of the network."""

    width: int = 192
    layers: int = 4
    heads: int = 3
    dropout: float = 0.1


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention spelt out: at these short lengths a third faster on a CPU than the fused kernel. (B, H, T, C/H)."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + mask.to(q.dtype)
    return torch.softmax(scores, dim=-1).to(v.dtype) @ v


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised residual."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_in = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_mid = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(config.dropout)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b, t, c = x.shape
        qkv = self.qkv(self.norm_in(x)).view(b, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, C/H)
        return q, k, v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        b, t, c = x.shape
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(b, t, c)))
        mixed: Tensor = x + self.dropout(self.down(F.gelu(self.up(self.norm_mid(x)), approximate="tanh")))
        return mixed

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.project(x)
        return self.finish(x, attend(q, k, v, mask))


class GeneratorModel(nn.Module):
    """Transformer over token rows; the tables of input values are also the output heads."""

    site_features: Tensor
    element_features: Tensor
    waves: Tensor

    def __init__(self, config: GeneratorConfig, element_features: Tensor, site_features: Tensor) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.register_buffer("element_features", element_features)
        self.register_buffer("site_features", site_features)
        self.register_buffer("waves", _waves(), persistent=False)
        self.value = nn.Embedding(VALUES, width)
        self.value_waves = nn.Linear(self.waves.shape[1], width, bias=False)
        self.element_from = nn.Linear(element_features.shape[1], width, bias=False)
        self.site_from = nn.Linear(site_features.shape[1], width, bias=False)
        self.role = nn.Embedding(len(Role), width)
        self.count = nn.Embedding(MAX_ATOMS + 1, width)
        self.orbit = nn.Embedding(ORBITS, width)
        self.element = nn.Embedding(ELEMENTS, width)
        self.site = nn.Linear(width, width, bias=False)
        self.next_role = nn.Embedding(len(Role), width)
        self.next_owed = nn.Embedding(MAX_ATOMS + 1, width)
        self.next_element = nn.Linear(width, width, bias=False)
        self.next_site = nn.Linear(width, width, bias=False)
        self.next_orbit = nn.Embedding(ORBITS, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(VALUES))
        self.apply(_initialise)

    def layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def tables(self) -> Tables:
        """Vectors of all values, elements and sites: (VALUES, C), (ELEMENTS, C), (SITES + 1, C)."""
        shared = [self.site_from(self.site_features[:NO_SITE]).float(), self.value_waves(self.waves).float()]
        values = self.value.weight + F.pad(torch.cat(shared), (0, 0, SITE_AT, 0))
        elements = self.element.weight + self.element_from(self.element_features).float()
        return values, elements, F.pad(values[SITE_AT:VOLUME_AT], (0, 0, 0, 1))

    def fold(self, tables: Tables) -> Tables:
        """The vectors that input columns look up: of values, elements, sites, and of the element and site to come."""
        values, elements, sites = tables
        return values, elements, self.site(sites), self.next_element(elements), self.next_site(sites)

    def embed(self, rows: Tensor, folded: Tables) -> Tensor:
        """Input vectors of token rows (B, T, COLUMNS)."""
        values, elements, sites, next_elements, next_sites = folded
        columns = rows.unbind(-1)
        x = F.embedding(columns[Column.VALUE], values) + self.role(columns[Column.ROLE])
        x = x + self.count(columns[Column.COUNT]) + self.orbit(columns[Column.ORBIT])
        x = x + F.embedding(columns[Column.ELEMENT], elements) + F.embedding(columns[Column.SITE], sites)
        x = x + self.next_role(columns[Column.NEXT_ROLE]) + self.next_owed(columns[Column.NEXT_OWED])
        x = x + F.embedding(columns[Column.NEXT_ELEMENT], next_elements) + self.next_orbit(columns[Column.NEXT_ORBIT])
        x = x + F.embedding(columns[Column.NEXT_SITE], next_sites)
        return torch.as_tensor(x)  # (B, T, C)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, T, C) of token rows, and the table of value vectors that scores them."""
        tables = self.tables()
        x = self.embed(rows, self.fold(tables))
        mask = prefix_mask(rows[..., Column.ROLE] == Role.FORMULA)
        for block in self.layers():
            x = block(x, mask)
        return self.norm(x), tables[0]

    def scores(self, states: Tensor, values: Tensor, start: int, size: int) -> Tensor:
        """Logits of the values start … start + size for states (N, C): (N, size)."""
        return F.linear(states, values[start : start + size].to(states.dtype)).float() + self.bias[start : start + size]


def prefix_mask(prefix: Tensor) -> Tensor:
    """Additive mask: every token sees what came before, and all see the formula: (B, T) -> (B, 1, T, T)."""
    t = prefix.shape[1]
    seen = torch.ones(t, t, dtype=torch.bool, device=prefix.device).tril() | prefix[:, None, :]
    return torch.zeros(seen.shape, device=prefix.device).masked_fill(~seen, -1e9)[:, None]


HEADS = {
    Role.GROUP: (GROUP_AT, GROUPS + 1),
    Role.VOLUME: (VOLUME_AT, VOLUME.count),
    **dict.fromkeys((Role.B_TO_A, Role.C_TO_A), (RATIO_AT, RATIO.count)),
    **dict.fromkeys((Role.ALPHA, Role.BETA, Role.GAMMA), (ANGLE_AT, ANGLE.count)),
    **dict.fromkeys((Role.FIRST, Role.SECOND, Role.THIRD), (COORDINATE_AT, GRID)),
}


def _waves() -> Tensor:
    """Smooth features of every numeric bin: volume, ratio, angle, coordinate, in blocks of their own."""
    blocks = []
    for count in (VOLUME.count, RATIO.count, ANGLE.count):
        phase = torch.pi * (torch.arange(count) + 0.5) / count
        blocks.append(torch.cos(phase[:, None] * torch.arange(1, WAVES + 1)))
    turn = 2 * torch.pi * torch.arange(GRID)[:, None] / GRID * torch.arange(1, WAVES + 1)
    blocks.append(torch.cat([turn.cos(), turn.sin()], dim=1))
    table = torch.zeros(sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks))
    row = column = 0
    for block in blocks:
        table[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return table


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
