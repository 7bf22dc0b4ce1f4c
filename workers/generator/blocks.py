"""A transformer block as GPT-2 has it: what the networks of two grammars are made of."""

import torch.nn.functional as F
from torch import Tensor, nn

from workers.generator.attention import causal


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised residual; attention may do without biases that the rest has."""

    def __init__(self, width: int, heads: int, dropout: float, bias: bool, attention_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in = nn.LayerNorm(width, bias=bias)
        self.qkv = nn.Linear(width, 3 * width, bias=attention_bias)
        self.out = nn.Linear(width, width, bias=attention_bias)
        self.norm_mid = nn.LayerNorm(width, bias=bias)
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.down = nn.Linear(4 * width, width, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def project(self, x: Tensor, turn: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        b, t, c = x.shape
        qkv = self.qkv(self.norm_in(x)).view(b, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, C/H)
        return q, k, v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        b, t, c = x.shape
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(b, t, c)))
        mixed: Tensor = x + self.dropout(self.down(F.gelu(self.up(self.norm_mid(x)), approximate="tanh")))
        return mixed

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        q, k, v = self.project(x)
        return self.finish(x, causal(q, k, v, lengths))
