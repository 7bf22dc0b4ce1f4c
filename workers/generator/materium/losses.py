"""What the atom-by-atom generator is trained on: the cross-entropy of every token, numbers with a little blur."""

from collections.abc import Iterable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.generator.losses import Losses, blurred, measured
from workers.generator.materium.batches import Batch
from workers.generator.materium.network import MateriumModel
from workers.generator.materium.tokens import ANGLES, COORDINATES, LENGTHS, Role

KINDS = {"SPECIES": (Role.SPECIES,), "COORDINATE": COORDINATES, "LENGTH": LENGTHS, "ANGLE": ANGLES}
WIDTH = 2.0  # standard deviation of the blur, in bins


@cache
def _blurred(count: int, circular: bool, share: float, device: torch.device) -> Tensor:
    """Row i: the target distribution for bin i of a number; most of it stays, because special positions are exact."""
    near = blurred(count, circular, WIDTH, device)
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
    device = model.angles.device
    return measured(lambda batch: losses(model, moved(batch, device), 0.0), batches, device)


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device."""
    return Batch(*(x.to(device) for x in (batch.rows, batch.targets, batch.roles, batch.lengths)))
