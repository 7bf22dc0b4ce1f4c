"""The network of the symmetry grammar: configuration, blocks, model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.generator.blocks import Block
from workers.generator.conditions import CONDITIONS
from workers.generator.sampler import Head
from workers.generator.symmetry.vocabulary import (
    ANGLE,
    CONDITION_AT,
    ELEMENTS,
    GRID,
    LEVELS,
    MAX_ATOMS,
    NO_SITE,
    PADDING,
    RATIO,
    SITE_AT,
    STATES,
    UNITS_AT,
    VALUES,
    VOLUME,
    VOLUME_AT,
    Column,
    Role,
)

Tables = tuple[Tensor, ...]

ORBITS = MAX_ATOMS + 1
WAVES = 24  # cosines that let neighbouring bins share what they mean


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Size of the network."""

    width: int = 192
    layers: int = 4
    heads: int = 3
    dropout: float = 0.2
    input_dropout: float = 0.1
    unnamed: float = 0.2  # share of the elements that a step knows by their chemistry alone


SIZES = {
    "small": GeneratorConfig(),
    "base": GeneratorConfig(384, 6, 6),
    "paper": GeneratorConfig(512, 12, 16),
}


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
        self.oxidation = nn.Embedding(STATES, width)
        self.finer = nn.Linear(width, width)
        self.finest = nn.Linear(width, 1)
        self.dropout = nn.Dropout(config.input_dropout)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.dropout, bias=True, attention_bias=False) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(VALUES))
        self.apply(_initialise)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.config.layers, self.config.heads, self.config.width

    @property
    def padding(self) -> Sequence[int]:
        return PADDING

    @property
    def sees_prompt_whole(self) -> bool:
        return False

    def layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def prepare(self) -> Tables:
        """Vectors of all values, and those that the other input columns look up."""
        values, elements, sites = self.tables()
        return values, elements, self.site(sites), self.next_element(elements), self.next_site(sites)

    def tables(self) -> Tables:
        """Vectors of all values, elements and sites: (VALUES, C), (ELEMENTS, C), (SITES + 1, C)."""
        values = self.value.weight.clone()
        values[SITE_AT:VOLUME_AT] += self.site_from(self.site_features[:NO_SITE]).float()
        values[VOLUME_AT:UNITS_AT] += self.value_waves(self.waves[: UNITS_AT - VOLUME_AT]).float()
        values[CONDITION_AT:] += self.value_waves(self.waves[UNITS_AT - VOLUME_AT :]).float()
        named = torch.rand(ELEMENTS, 1, device=values.device) >= self.config.unnamed if self.training else 1.0
        elements = self.element.weight * named + self.element_from(self.element_features).float()
        values[:ELEMENTS] += elements
        return values, elements, F.pad(values[SITE_AT:VOLUME_AT], (0, 0, 0, 1))

    def embed(self, rows: Tensor, prepared: Tables) -> tuple[Tensor, None]:
        """Input vectors (B, T, C) of token rows (B, T, COLUMNS); nothing is turned."""
        values, elements, sites, next_elements, next_sites = prepared
        columns = rows.unbind(-1)
        x = F.embedding(columns[Column.VALUE], values) + self.role(columns[Column.ROLE])
        x = x + self.count(columns[Column.COUNT]) + self.orbit(columns[Column.ORBIT])
        x = x + F.embedding(columns[Column.ELEMENT], elements) + F.embedding(columns[Column.SITE], sites)
        x = x + self.next_role(columns[Column.NEXT_ROLE]) + self.next_owed(columns[Column.NEXT_OWED])
        x = x + F.embedding(columns[Column.NEXT_ELEMENT], next_elements) + self.next_orbit(columns[Column.NEXT_ORBIT])
        x = x + F.embedding(columns[Column.NEXT_SITE], next_sites) + self.oxidation(columns[Column.OXIDATION])
        return torch.as_tensor(x), None  # (B, T, C)

    def forward(self, rows: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States (B, T, C) of token rows, of which the first `lengths` (B,) count, and the table that scores them."""
        prepared = self.prepare()
        x = self.dropout(self.embed(rows, prepared)[0])
        for block in self.layers():
            x = block(x, lengths)
        return self.norm(x), prepared[0]

    def close(self, x: Tensor) -> Tensor:
        """States that score the next value."""
        return torch.as_tensor(self.norm(x))

    def scores(self, states: Tensor, prepared: Tables, head: Head) -> Tensor:
        """Logits of a head's values for states (N, C): (N, size)."""
        start, size = head
        values = prepared[0][start : start + size]
        return F.linear(states, values.to(states.dtype)).float() + self.bias[start : start + size]

    def offsets(self, states: Tensor, prepared: Tables, values: Tensor) -> Tensor:
        """Offsets from the middle of the bins drawn (N,), in bins: -1/2 to 1/2."""
        x = self.finer(states + F.embedding(values, prepared[0]).to(states.dtype))
        return 0.5 * torch.tanh(self.finest(F.gelu(x, approximate="tanh"))[:, 0].float())


def _waves() -> Tensor:
    """Smooth features of every numeric bin: volume, ratio, angle, coordinate, conditions, in blocks of their own."""
    blocks = []
    for count in (VOLUME.count, RATIO.count, ANGLE.count):
        phase = torch.pi * (torch.arange(count) + 0.5) / count
        blocks.append(torch.cos(phase[:, None] * torch.arange(1, WAVES + 1)))
    turn = 2 * torch.pi * torch.arange(GRID)[:, None] / GRID * torch.arange(1, WAVES + 1)
    blocks.append(torch.cat([turn.cos(), turn.sin()], dim=1))
    phase = torch.pi * (torch.arange(LEVELS) + 0.5) / LEVELS
    blocks.extend([torch.cos(phase[:, None] * torch.arange(1, WAVES // 2 + 1))] * len(CONDITIONS))
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
