"""What the generator is trained on: the cross-entropy of every token that is predicted."""

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.generator.batches import Batches
from workers.generator.grammar import COORDINATE_AT, SITE_AT, SITES, Column, Role, site_starts
from workers.generator.model import HEADS, GeneratorModel
from workers.spacegroups import GROUPS


@cache
def _blurred(count: int, circular: bool, width: float) -> Tensor:
    """Row i: the target distribution for bin i of a number."""
    steps = torch.arange(count)
    apart = (steps[:, None] - steps).abs()
    apart = torch.minimum(apart, count - apart) if circular else apart
    return torch.softmax(-((apart / width) ** 2) / 2, dim=1)


@cache
def _site_groups() -> Tensor:
    sizes = np.diff(site_starts())
    return torch.from_numpy(np.repeat(np.arange(1, GROUPS + 1), sizes))


def losses(model: GeneratorModel, rows: Tensor, blur: float) -> dict[str, tuple[Tensor, int]]:
    """Summed cross-entropy and number of tokens for each kind of token."""
    states, values = model(rows)
    role, target = rows[..., Column.NEXT_ROLE].flatten(), rows[..., Column.TARGET].flatten()
    states = states.flatten(0, 1)
    found: dict[str, tuple[Tensor, int]] = {}
    sited = torch.nonzero((role == Role.POSITION) & (target >= 0))[:, 0]
    logits = model.scores(states[sited], values, SITE_AT, SITES)
    groups = _site_groups()
    legal = groups[None, :] == groups[target[sited]][:, None]
    found["POSITION"] = F.cross_entropy(logits.masked_fill(~legal, -1e9), target[sited], reduction="sum"), len(sited)
    for start, size in sorted(set(HEADS.values())):
        kinds = [kind for kind, head in HEADS.items() if head == (start, size)]
        rows_of = torch.nonzero(torch.isin(role, torch.tensor([int(k) for k in kinds])) & (target >= 0))[:, 0]
        if not len(rows_of):
            continue
        logits = model.scores(states[rows_of], values, start, size)
        wanted = target[rows_of]
        if kinds[0] != Role.GROUP and blur:
            soft = _blurred(size, start == COORDINATE_AT, blur)[wanted]
            loss = -(soft * F.log_softmax(logits, dim=-1)).sum()
        else:
            loss = F.cross_entropy(logits, wanted, reduction="sum")
        found[kinds[0].name] = loss, len(rows_of)
    return found


def measure(model: GeneratorModel, batches: Batches, members: npt.NDArray[np.int64]) -> dict[str, float]:
    """Mean cross-entropy in nats for each kind of token, and of a whole crystal, without blur."""
    sums: dict[str, list[float]] = {}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for rows in batches.pack(members, np.random.default_rng(0)):
            for name, (loss, n) in losses(model, rows, 0.0).items():
                entry = sums.setdefault(name, [0.0, 0])
                entry[0] += float(loss)
                entry[1] += n
    found = {name: loss / n for name, (loss, n) in sums.items()}
    return {**found, "crystal": sum(loss for loss, _ in sums.values()) / len(members)}
