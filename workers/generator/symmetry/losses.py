"""What the generator is trained on: the cross-entropy of every token that is predicted, and offsets within bins."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.generator.losses import OFFSET, Losses, blurred, measured
from workers.generator.symmetry.network import GeneratorModel
from workers.generator.symmetry.vocabulary import (
    CELL,
    COORDINATE_AT,
    COORDINATES,
    FINEST,
    GROUPS,
    HEADS,
    SITE_AT,
    SITES,
    Column,
    Role,
    site_starts,
)

NUMBERS = (*CELL, *COORDINATES)


@cache
def _site_groups(device: torch.device) -> Tensor:
    sizes = np.diff(site_starts())
    return torch.from_numpy(np.repeat(np.arange(1, GROUPS + 1), sizes)).to(device)


def losses(model: GeneratorModel, rows: Tensor, blur: float) -> Losses:
    """Summed loss and number of tokens for each kind of token; those of offsets are absolute errors in bins."""
    states, values = model(rows, (rows[:, :, Column.ROLE] != Role.PAD).sum(1))
    states, flat = states.flatten(0, 1), rows.flatten(0, 1)
    predicted = torch.nonzero(flat[:, Column.TARGET] >= 0)[:, 0]
    states, flat = states[predicted], flat[predicted]
    role, target = flat[:, Column.NEXT_ROLE], flat[:, Column.TARGET]
    found = {"POSITION": _site_loss(model, states, values, flat)}
    for head in sorted(set(HEADS.values())):
        kinds = [kind for kind, own in HEADS.items() if own == head]
        mine = torch.nonzero(torch.isin(role, torch.tensor([int(k) for k in kinds], device=role.device)))[:, 0]
        if len(mine):
            width = blur if kinds[0] in NUMBERS else 0.0
            loss = _head_loss(model.scores(states[mine], (values,), head), target[mine], head, width)
            found[kinds[0].name] = loss, len(mine)
    found[OFFSET] = _offset_loss(model, states, values, flat)
    return found


def _site_loss(model: GeneratorModel, states: Tensor, values: Tensor, flat: Tensor) -> tuple[Tensor, int]:
    sited = torch.nonzero(flat[:, Column.NEXT_ROLE] == Role.POSITION)[:, 0]
    target = flat[sited, Column.TARGET]
    logits = model.scores(states[sited], (values,), (SITE_AT, SITES))
    groups = _site_groups(flat.device)
    legal = groups[None, :] == groups[target][:, None]
    return F.cross_entropy(logits.masked_fill(~legal, -1e9), target, reduction="sum"), len(sited)


def _head_loss(logits: Tensor, target: Tensor, head: tuple[int, int], blur: float) -> Tensor:
    if not blur:
        return F.cross_entropy(logits, target, reduction="sum")
    start, size = head
    soft = blurred(size, start == COORDINATE_AT, blur, logits.device)[target]
    return -(soft * F.log_softmax(logits, dim=-1)).sum()


def _offset_loss(model: GeneratorModel, states: Tensor, values: Tensor, flat: Tensor) -> tuple[Tensor, int]:
    numbers = torch.tensor([int(role) for role in NUMBERS], device=flat.device)
    starts = torch.zeros(len(Role), dtype=torch.int64, device=flat.device)
    starts[numbers] = torch.tensor([HEADS[role][0] for role in NUMBERS], device=flat.device)
    mine = torch.nonzero(torch.isin(flat[:, Column.NEXT_ROLE], numbers))[:, 0]
    places = flat[mine, Column.TARGET] + starts[flat[mine, Column.NEXT_ROLE]]
    wanted = flat[mine, Column.OFFSET] / FINEST
    return (model.offsets(states[mine], (values,), places) - wanted).abs().sum(), len(mine)


def measure(model: GeneratorModel, batches: Iterable[Tensor]) -> dict[str, float]:
    """Mean loss for each kind of token, and nats of a whole crystal, without blur."""
    device = model.bias.device
    return measured(lambda rows: losses(model, rows.to(device), 0.0), batches, device)
