"""What the atom-by-atom generator is trained on: the cross-entropy of every token, numbers with a little blur."""

from collections.abc import Iterable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.generator.materium.batches import Batch
from workers.generator.materium.network import MateriumModel
from workers.generator.materium.tokens import ANGLES, COORDINATES, LENGTHS, Role

KINDS = {"SPECIES": (Role.SPECIES,), "COORDINATE": COORDINATES, "LENGTH": LENGTHS, "ANGLE": ANGLES}
WIDTH = 2.0  # standard deviation of the blur, in bins
Losses = dict[str, tuple[Tensor, int]]


@cache
def _blurred(count: int, circular: bool, share: float, device: torch.device) -> Tensor:
    """Row i: the target distribution for bin i of a number; most of it stays, because special positions are exact."""
    steps = torch.arange(count, device=device)
    apart = (steps[:, None] - steps).abs()
    apart = torch.minimum(apart, count - apart) if circular else apart
    near = torch.softmax(-((apart / WIDTH) ** 2) / 2, dim=1)
    return share * near + (1 - share) * torch.eye(count, device=device)


def losses(model: MateriumModel, batch: Batch, blur: float) -> Losses:
    """Summed loss and number of tokens for each kind of token; `blur` is the share of a target that is spread."""
    states, table = model(batch.rows, batch.lengths)
    states, targets, roles = states.flatten(0, 1), batch.targets.flatten(), batch.roles.flatten()
    found: Losses = {}
    for name, kinds in KINDS.items():
        wanted = torch.isin(roles, torch.tensor(kinds, device=roles.device)) & (targets >= 0)
        mine = torch.nonzero(wanted)[:, 0]
        start, size = model.vocabulary.head(kinds[0])
        logits = F.linear(states[mine], table[start : start + size].to(states.dtype)).float()
        target = targets[mine] - start
        if name == "SPECIES" or not blur:
            loss = F.cross_entropy(logits, target, reduction="sum")
        else:
            soft = _blurred(size, kinds == COORDINATES, blur, logits.device)[target]
            loss = -(soft * F.log_softmax(logits, dim=-1)).sum()
        found[name] = loss, len(mine)
    return found


def measure(model: MateriumModel, batches: Iterable[Batch]) -> dict[str, float]:
    """Mean loss for each kind of token, and nats of a whole crystal, without blur."""
    sums: dict[str, list[float]] = {}
    crystals = 0
    device = model.angles.device
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        for batch in batches:
            crystals += len(batch.rows)
            for name, (loss, n) in losses(model, moved(batch, device), 0.0).items():
                entry = sums.setdefault(name, [0.0, 0])
                entry[0] += float(loss)
                entry[1] += n
    found = {name: loss / max(n, 1) for name, (loss, n) in sums.items()}
    return {**found, "crystal": sum(loss for loss, _ in sums.values()) / crystals}


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device."""
    return Batch(*(x.to(device) for x in (batch.rows, batch.targets, batch.roles, batch.lengths)))
