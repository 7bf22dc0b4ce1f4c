"""Causal attention for training: flash-attn's packed kernel where there is one, PyTorch's own on other accelerators.

On a CPU it is spelt out: forth and back the fused kernel takes two to four times as long at 25 to 600 positions.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.generator.sampler import HIDDEN

HALVES = (torch.float16, torch.bfloat16)


def causal(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Each position attends to itself and those before it: (B, H, T, D).

    Rows are filled up at their end; where flash-attn is used, what lies beyond `lengths` (B,) is zero.
    """
    if lengths is not None and packs(q):
        return _packed(q, k, v, lengths)
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return _spelt(q, k, v)


def packs(q: Tensor) -> bool:
    """Whether flash-attn can take these."""
    return q.is_cuda and q.dtype in HALVES and find_spec("flash_attn") is not None


def _packed(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
    """All rows end to end without what fills them up."""
    kernel: Any = import_module("flash_attn").flash_attn_varlen_func
    b, h, t, d = q.shape
    there = torch.arange(t, device=q.device)[None] < lengths[:, None]  # (B, T)
    packed = [x.transpose(1, 2)[there] for x in (q, k, v)]  # (N, H, D)
    ends = F.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    found: Tensor = kernel(*packed, ends, ends, t, t, causal=True)
    out = q.new_zeros(b, t, h, d)
    out[there] = found
    return out.transpose(1, 2)


def _spelt(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    b, h, t, size = q.shape
    q, k, v = ((q * size**-0.5).reshape(b * h, t, size), k.reshape(b * h, t, size), v.reshape(b * h, t, size))
    mask = torch.full((t, t), HIDDEN, dtype=q.dtype).triu(1)
    scores = torch.baddbmm(mask.expand(b * h, t, t), q, k.transpose(1, 2))
    return torch.bmm(torch.softmax(scores, dim=-1).to(v.dtype), v).view(b, h, t, size)
