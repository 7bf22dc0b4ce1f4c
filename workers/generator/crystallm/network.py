"""GPT-2 as nanoGPT has it, over the tokens of CIF text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.generator.crystallm.tokens import VOCABULARY
from workers.generator.sampler import HIDDEN, Head

SPREAD = 0.02  # standard deviation of the first weights


@dataclass(frozen=True, slots=True)
class CrystaLLMConfig:
    """Size of the network."""

    width: int = 192
    layers: int = 4
    heads: int = 3
    context: int = 640
    bias: bool = False
    dropout: float = 0.0


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised residual."""

    def __init__(self, config: CrystaLLMConfig) -> None:
        super().__init__()
        width, bias = config.width, config.bias
        self.heads = config.heads
        self.norm_in = nn.LayerNorm(width, bias=bias)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.norm_mid = nn.LayerNorm(width, bias=bias)
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.down = nn.Linear(4 * width, width, bias=bias)
        self.dropout = nn.Dropout(config.dropout)

    def project(self, x: Tensor, turn: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        b, t, c = x.shape
        qkv = self.qkv(self.norm_in(x)).view(b, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, C/H)
        return q, k, v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        b, t, c = x.shape
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(b, t, c)))
        mixed: Tensor = x + self.dropout(self.down(F.gelu(self.up(self.norm_mid(x)), approximate="tanh")))
        return mixed

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.project(x, None)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True) if mask is None else _spelt(q, k, v, mask)
        return self.finish(x, attended)


class CrystaLLM(nn.Module):
    """Decoder-only transformer; a row is a token and its position, and the table of tokens is also the output head."""

    def __init__(self, config: CrystaLLMConfig) -> None:
        super().__init__()
        self.config = config
        self.token = nn.Embedding(VOCABULARY, config.width)
        self.position = nn.Embedding(config.context, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=config.bias)
        self.apply(_initialise)
        for block in self.layers():  # each layer adds twice to the residual
            for matrix in (block.out.weight, block.down.weight):
                nn.init.normal_(matrix, std=SPREAD / math.sqrt(2 * config.layers))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.config.layers, self.config.heads, self.config.width

    @property
    def padding(self) -> Sequence[int]:
        return (0, 0)

    @property
    def sees_prompt_whole(self) -> bool:
        return False

    def prepare(self) -> None:
        """Nothing is worked out beforehand."""

    def layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def embed(self, rows: Tensor, prepared: None) -> tuple[Tensor, None]:
        token, position = rows.unbind(-1)
        return self.dropout(self.token(token) + self.position(position)), None  # (B, T, C)

    def close(self, x: Tensor) -> Tensor:
        closed: Tensor = self.norm(x)
        return closed

    def scores(self, states: Tensor, prepared: None, head: Head) -> Tensor:
        start, size = head
        return F.linear(states, self.token.weight[start : start + size])

    def offsets(self, states: Tensor, prepared: None, values: Tensor) -> None:
        """Text has none."""

    def states(self, tokens: Tensor) -> Tensor:
        """States (B, T, C) that score the token after each of a text's tokens (B, T)."""
        length, device = tokens.shape[1], tokens.device
        places = torch.arange(length, device=device).expand(tokens.shape)
        x, _ = self.embed(torch.stack([tokens, places], dim=-1), None)
        mask = torch.full((length, length), HIDDEN).triu(1) if device.type == "cpu" else None
        for block in self.layers():
            x = block(x, mask)
        return self.close(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of a text's tokens (B, T)."""
        return self.scores(self.states(tokens), None, (0, VOCABULARY))


def _spelt(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention (B, H, T, C/H) spelt out: on a CPU the fused kernel, forth and back, takes over twice as long."""
    b, h, t, size = q.shape
    q, k, v = ((q * size**-0.5).reshape(b * h, t, size), k.reshape(b * h, t, size), v.reshape(b * h, t, size))
    scores = torch.baddbmm(mask.to(q.dtype).expand(b * h, t, t), q, k.transpose(1, 2))
    return torch.bmm(torch.softmax(scores, dim=-1).to(v.dtype), v).view(b, h, t, size)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=SPREAD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
