"""The student: the network with a projection into the teacher's space, and the loss that brings it there."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workers.predictors.batches import Batch
from workers.predictors.network import Network, summarise
from workers.predictors.objectives import Hiding, guess_loss
from workers.predictors.teacher.encoders import contrast

TEMPERATURE = 0.1


class Student(nn.Module):
    """A network, and what it makes of formulas as unit vectors (B, d) of the teacher's space."""

    def __init__(self, network: Network, dimension: int) -> None:
        super().__init__()
        width = 2 * network.config.width
        self.network = network
        self.projector = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, dimension))

    def project(self, states: Tensor, shares: Tensor) -> Tensor:
        """Unit vectors (B, d) of encoded formulas."""
        return F.normalize(self.projector(summarise(states, shares)).float(), dim=1)

    def forward(self, numbers: Tensor, shares: Tensor) -> Tensor:
        return self.project(self.network.encode(numbers, shares), shares)


@dataclass(frozen=True, slots=True)
class Aligning:
    """Nearness to the teacher's vectors (row of the table, d), alone (cosine) and among those of the batch (InfoNCE);
    hidden tokens are still to be guessed."""

    student: Student
    targets: Tensor
    hiding: Hiding
    contrast_weight: float
    guess_weight: float

    def __call__(self, batch: Batch, generator: torch.Generator) -> Tensor:
        numbers, shares = self.hiding(batch, generator)
        device = self.targets.device
        numbers, shares = numbers.to(device), shares.to(device)
        states = self.student.network.encode(numbers, shares)
        aims = self.targets[batch.rows]
        vectors = self.student.project(states, shares)
        loss = (1 - (vectors * aims).sum(dim=1)).mean()
        everywhere = torch.ones(len(aims), dtype=torch.bool, device=device)
        loss = loss + self.contrast_weight * contrast(vectors, aims, everywhere, TEMPERATURE)
        return loss + self.guess_weight * guess_loss(self.student.network.guess(states), batch, numbers, shares)


@torch.inference_mode()
def likeness(student: Student, batches: list[Batch], targets: Tensor) -> float:
    """The mean cosine between the student's vectors and the teacher's."""
    found = [
        (student(batch.numbers.to(targets.device), batch.shares.to(targets.device)) * targets[batch.rows]).sum(dim=1)
        for batch in batches
    ]
    return float(torch.cat(found).mean())


def known_rows(targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Those of the rows whose target is known."""
    return np.asarray(rows[np.isfinite(targets[rows, 0])])
