"""GPT-2 as nanoGPT has it, over the tokens of CIF text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.generator.blocks import Block
from workers.generator.crystallm.tokens import VOCABULARY
from workers.generator.sampler import Head

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


class CrystaLLM(nn.Module):
    """Decoder-only transformer; a row is a token and its position, and the table of tokens is also the output head."""

    def __init__(self, config: CrystaLLMConfig) -> None:
        super().__init__()
        self.config = config
        self.token = nn.Embedding(VOCABULARY, config.width)
        self.position = nn.Embedding(config.context, config.width)
        self.dropout = nn.Dropout(config.dropout)
        width, bias = config.width, config.bias
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.dropout, bias, attention_bias=bias) for _ in range(config.layers)
        )
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

    def states(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """States (B, T, C) that score the token after each of a text's tokens (B, T), `lengths` of them there."""
        places = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        x, _ = self.embed(torch.stack([tokens, places], dim=-1), None)
        for block in self.layers():
            x = block(x, lengths)
        return self.close(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of a text's tokens (B, T)."""
        return self.scores(self.states(tokens), None, (0, VOCABULARY))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=SPREAD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
