"""The network of the atom-by-atom grammar: a decoder in the manner of Llama, conditions ahead of the tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.generator.attention import causal
from workers.generator.materium.tokens import (
    ANGLES,
    COORDINATES,
    ELEMENTS,
    GROUPS,
    LENGTHS,
    MILLION,
    MOST_OF_ONE,
    Column,
    Head,
    Role,
    Vocabulary,
    blank,
)
from workers.generator.sampler import TOGETHER

Tables = tuple[Tensor, Tensor | None]

THETA = 10_000.0
SMALLEST = 1e-5  # of RMSNorm
ROUND = 256  # the feed-forward's width is a multiple of it
WAVES = 24  # cosines that let neighbouring bins share what they mean


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Size of the network."""

    width: int = 192
    layers: int = 4
    heads: int = 3
    dropout: float = 0.05
    inner: int = 0  # width of the feed-forward; 0: two thirds of four widths, rounded up

    @property
    def hidden(self) -> int:
        return self.inner or -(-8 * self.width // 3 // ROUND) * ROUND


SIZES = {
    "small": NetworkConfig(),
    "base": NetworkConfig(384, 6, 6, 0.1),
    "paper": NetworkConfig(512, 12, 16, 0.1),
}


class RMSNorm(nn.Module):
    """Division by the root of the mean square (Zhang and Sennrich, arXiv 1910.07467)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), SMALLEST)


class Dropout(nn.Module):
    """Leaves out the same numbers at all places of a sequence (Gal and Ghahramani, arXiv 1512.05287).

    One draw for a sequence: on a CPU a draw for each place takes a tenth of a training step.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        return x * F.dropout(x.new_ones(len(x), 1, x.shape[-1]), self.share)


class Packed(nn.Linear):
    """A linear map whose weights lie in bfloat16 as oneDNN multiplies with them: else it sorts them at each call."""

    def __init__(self, source: nn.Linear) -> None:
        nn.Module.__init__(self)
        pack = torch.ops.mkldnn._reorder_linear_weight
        self.register_buffer("weight", pack(source.weight.detach().to(torch.bfloat16), TOGETHER), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], ""))


class Block(nn.Module):
    """Attention with turned queries and keys, then a gated feed-forward, each on a normalised residual."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_in = RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_mid = RMSNorm(width)
        self.up = nn.Linear(width, 2 * config.hidden, bias=False)  # gate and what passes through it
        self.down = nn.Linear(config.hidden, width, bias=False)
        self.dropout = Dropout(config.dropout)

    def project(self, x: Tensor, turn: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        assert turn is not None
        b, t, c = x.shape
        qkv = through(self.qkv, self.norm_in(x)).view(b, t, 3, self.heads, c // self.heads)
        if self.qkv.weight.dtype == torch.bfloat16:
            qkv = qkv.to(x.dtype)
        parts = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        q, k = turned(parts[:2], turn)
        return q, k, parts[2]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        b, t, c = x.shape
        x = x + self.dropout(through(self.out, attended.transpose(1, 2).reshape(b, t, c)))
        gate, passed = through(self.up, self.norm_mid(x)).chunk(2, dim=-1)
        mixed: Tensor = x + self.dropout(through(self.down, F.silu(gate) * passed))
        return mixed

    def forward(self, x: Tensor, turn: Tensor, lengths: Tensor | None) -> Tensor:
        q, k, v = self.project(x, turn)
        return self.finish(x, causal(q, k, v, lengths))


class MateriumModel(nn.Module):
    """Transformer over token rows; the table of input values is also the output head."""

    waves: Tensor
    angles: Tensor

    def __init__(self, config: NetworkConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        width = config.width
        self.config, self.vocabulary = config, vocabulary
        self.register_buffer("waves", _waves(vocabulary), persistent=False)
        self.register_buffer("angles", _angles(width // config.heads), persistent=False)
        self.value = nn.Embedding(vocabulary.size, width)
        self.value_waves = nn.Linear(self.waves.shape[1], width, bias=False)
        self.role = nn.Embedding(len(Role), width)
        self.owed = nn.Embedding(MOST_OF_ONE + 1, width)
        self.scale = nn.Embedding(len(Role), width)  # of a condition's value
        self.group = nn.Embedding(GROUPS, width)
        self.element = nn.Embedding(ELEMENTS, width)
        self.count = nn.Embedding(MOST_OF_ONE + 1, width)
        self.formula = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(width)
        self.apply(_initialise)
        nn.init.normal_(self.value_waves.weight, std=0.005)
        for block in self.layers():
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 / (2 * config.layers) ** 0.5)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.config.layers, self.config.heads, self.config.width

    @property
    def padding(self) -> Sequence[int]:
        return blank(self.vocabulary)

    @property
    def sees_prompt_whole(self) -> bool:
        return False

    def layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def prepare(self) -> Tables:
        """The table of values, groups and none, and the vectors of all elements in all amounts."""
        numbers = torch.arange(ELEMENTS * (MOST_OF_ONE + 1), device=self.value.weight.device)
        return self.table(), self.pairs(numbers)

    def table(self) -> Tensor:
        """Vectors of all values, then of the space groups, then zeros: (V + GROUPS + 1, C)."""
        values = self.value.weight + self.value_waves(self.waves).to(self.value.weight.dtype)
        return torch.cat([values, self.group.weight, torch.zeros_like(values[:1])])

    def pairs(self, places: Tensor) -> Tensor:
        """Vectors of elements in their amounts: (..., C)."""
        number, count = places // (MOST_OF_ONE + 1), places % (MOST_OF_ONE + 1)
        return torch.as_tensor(self.formula(self.element(number) + self.count(count)))

    def embed(self, rows: Tensor, prepared: Tables) -> tuple[Tensor, Tensor]:
        """Input vectors (B, T, C) of token rows (B, T, COLUMNS), and cosines and sines that turn them (B, 1, T, D)."""
        table, pairs = prepared
        columns = rows.unbind(-1)
        role, place = columns[Column.ROLE], columns[Column.PAIR]
        x = F.embedding(columns[Column.VALUE], table) + self.role(role) + self.owed(columns[Column.OWED])
        if rows.shape[1] > 1:  # what is written one by one is neither condition nor formula
            amount = (columns[Column.AMOUNT] / MILLION).to(x.dtype)
            x = x + amount[..., None] * self.scale(role)
            mine = torch.nonzero(role == Role.ELEMENT, as_tuple=True)
            found = self.pairs(place[mine]) if pairs is None else F.embedding(place[mine], pairs)
            x = x.index_put(mine, found.to(x.dtype), accumulate=True)
        turns = columns[Column.POSITION][:, None, :, None] * self.angles  # (B, 1, T, D/2)
        return self.dropout(x), torch.cat([turns.cos(), turns.sin()], dim=-1)

    def forward(self, rows: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States (B, T, C) of token rows, and the table of value vectors that scores them."""
        table = self.table()
        x, turn = self.embed(rows, (table, None))
        for block in self.layers():
            x = block(x, turn, lengths)
        return torch.as_tensor(self.norm(x)), table

    def close(self, x: Tensor) -> Tensor:
        """States that score the next value."""
        return torch.as_tensor(self.norm(x))

    def scores(self, states: Tensor, prepared: Tables, head: Head) -> Tensor:
        """Logits of a head's values for states (N, C): (N, size)."""
        start, size = head
        return F.linear(states, prepared[0][start : start + size].to(states.dtype)).float()

    def offsets(self, states: Tensor, prepared: Tables, values: Tensor) -> None:
        """Numbers are their bins."""
        return


def quickened(model: MateriumModel) -> MateriumModel:
    """The model with the weights of its blocks in bfloat16, whose products some CPUs have in hardware.

    All else stays as it is: the states that blocks add to, attention and the scores.
    """
    for block in model.layers():
        for name in ("qkv", "out", "up", "down"):
            setattr(block, name, Packed(getattr(block, name)))
    return model


def through(part: nn.Linear, x: Tensor) -> Tensor:
    """A linear map in the type of its weights."""
    return torch.as_tensor(part(x.to(part.weight.dtype)))


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Rotary positions: the first half of each head's numbers against the second, (B, H, T, D)."""
    cos, sin = turn.to(x.dtype).chunk(2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _angles(size: int) -> Tensor:
    """How far each pair of a head's numbers turns from one position to the next (Su et al., arXiv 2104.09864)."""
    return THETA ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)


def _waves(vocabulary: Vocabulary) -> Tensor:
    """Smooth features of every bin of coordinates, lengths and angles; zero where all kinds share their bins."""
    steps = torch.arange(1, WAVES + 1)
    table = torch.zeros(vocabulary.size, 4 * WAVES)
    if len(set(vocabulary.starts.values())) == 1:
        return table
    at, count = vocabulary.starts[COORDINATES[0]], vocabulary.grids[COORDINATES[0]].count
    turn = 2 * torch.pi * torch.arange(count)[:, None] / count * steps
    table[at : at + count, : 2 * WAVES] = torch.cat([turn.cos(), turn.sin()], dim=1)
    for i, role in enumerate((LENGTHS[0], ANGLES[0]), 2):
        at, count = vocabulary.starts[role], vocabulary.grids[role].count
        phase = torch.pi * (torch.arange(count) + 0.5) / count
        table[at : at + count, i * WAVES : (i + 1) * WAVES] = torch.cos(phase[:, None] * steps)
    return table


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
