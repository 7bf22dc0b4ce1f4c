"""A trunk: the network before any task, in three stages that can each be left out of a comparison.

masked    hidden elements and shares are guessed, of every formula at hand, stable ones more often
aligned   the network comes close to the teacher's embedding of each formula
taught    it tells many published properties at once

The paper's own recipe is not public: the stages are its, all numbers are ours.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from workers.predictors.batches import Batch, Batches, Scaling, measure_scaling
from workers.predictors.fitting import Stage, Trainee, fit
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.objectives import Hiding, Telling
from workers.predictors.table import TASKS, Table
from workers.predictors.teacher.targets import Choice, Targets
from workers.predictors.transfer.student import Aligning, Student, known_rows, likeness

STAGES = ("masked", "aligned", "taught")
_STABLE, _NEAR = 0.0, 0.1  # eV/atom of decomposition: formulas below come three times and twice an epoch
_TASK_WEIGHTS = (1.0, 1.0, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25)
_BATCH = 1024
_MASKED = Hiding(rows=0.8)
_WATCHED = 8  # batches of held-out rows that the reports look at


@dataclass(frozen=True, slots=True)
class Budget:
    """Minutes of the processor by stage; `steps` in their place where a training is to be repeated to the bit."""

    teacher: float = 8.0
    masked: float = 5.0
    aligned: float = 6.0
    taught: float = 8.0
    steps: int = 0


class Trunk:
    """A network in training over the rows of a table whose compositions are not held out."""

    def __init__(self, table: Table, held_out: Collection[str], work: Path, budget: Budget, seed: int) -> None:
        torch.manual_seed(seed)
        work.mkdir(parents=True, exist_ok=True)
        self.network = new_network(table, len(TASKS))
        free = ~np.isin(table.names, np.array(sorted(held_out), dtype=np.str_))
        self.rows = np.flatnonzero(free & (table.splits != 1))
        self.scaling = measure_scaling(table, self.rows)
        self._table, self._work, self._budget, self._seed = table, work, budget, seed
        self._unseen = np.flatnonzero(free & (table.splits == 1))
        self.watched = self._watch(self._unseen)

    def mask(self) -> None:
        """Stage 1: guess what is hidden."""
        silent = (0.0,) * len(TASKS)
        objective = Telling(self.network, _MASKED, silent, guess_weight=1.0)
        rows = self.rows[np.repeat(np.arange(len(self.rows)), stability_weights(self._table, self.rows))]

        @torch.inference_mode()
        def report() -> str:
            losses = [objective(batch, torch.Generator().manual_seed(0)).item() for batch in self.watched]
            return f"loss of unseen formulas {np.mean(losses):.3f}"

        fit(Trainee(self.network, objective, report), self._stage("masked", 2e-3, 1e-4), self._course(rows), self._work)

    def align(self, targets: Targets, choice: Choice) -> Student:
        """Stage 2: come close to the teacher's vectors, of the ground states or of the means."""
        torch.manual_seed(self._seed)
        vectors = targets.rows(self._table.names, choice)
        student = Student(self.network, vectors.shape[1])
        device = self.network.table.device
        student.to(device)
        aims = torch.from_numpy(vectors).to(device)
        watched = self._watch(known_rows(vectors, self._unseen))
        objective = Aligning(student, aims, Hiding(rows=0.2, highest=0.5), contrast_weight=0.5, guess_weight=0.1)
        trainee = Trainee(
            student, objective, lambda: f"cosine of unseen formulas {likeness(student, watched, aims):.4f}"
        )
        fit(trainee, self._stage("aligned", 2e-3, 1e-4), self._course(known_rows(vectors, self.rows)), self._work)
        return student

    def teach(self) -> None:
        """Stage 3: tell the table's properties, all at once."""
        rows = self.rows[np.isfinite(self._table.labels[self.rows]).any(axis=1)]
        objective = Telling(self.network, Hiding(rows=0.2), _TASK_WEIGHTS, guess_weight=0.05)
        trainee = Trainee(self.network, objective, lambda: report_errors(self.network, self.watched, self.scaling))
        fit(trainee, self._stage("taught", 2e-3, 1e-4), self._course(rows), self._work)

    def _stage(self, name: str, peak: float, final: float) -> Stage:
        seconds = 60 * getattr(self._budget, name)
        return Stage(name, seconds, peak, final, 0.02, self._seed + STAGES.index(name), self._budget.steps)

    def _course(self, rows: np.ndarray) -> Batches:
        return Batches(self._table, self.scaling, rows, _BATCH, (self._seed,))

    def _watch(self, rows: np.ndarray) -> list[Batch]:
        batches = Batches(self._table, self.scaling, rows, _BATCH, (0,))
        return [batches[step] for step in range(min(_WATCHED, batches.epoch_steps))]


def new_network(table: Table, tasks: int) -> Network:
    """A network with random weights over the table's elements."""
    network = Network(NetworkConfig(len(table.elements), table.features.shape[1], tasks))
    spread = table.features.std(axis=0)
    centred = (table.features - table.features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    network.table[1:] = torch.from_numpy(centred.astype(np.float32))
    return network


def stability_weights(table: Table, rows: np.ndarray) -> np.ndarray:
    """How often each row comes in an epoch of masked pretraining: three times if stable, twice if nearly so."""
    energies = table.labels[rows, TASKS.index("decomposition_energy")]
    return np.asarray(1 + (energies <= _STABLE).astype(np.int64) + (energies <= _NEAR))


@torch.inference_mode()
def report_errors(network: Network, batches: list[Batch], scaling: Scaling) -> str:
    """Mean absolute errors of the tasks."""
    device = network.table.device
    told = [network(batch.numbers.to(device), batch.shares.to(device))[0].cpu() for batch in batches]
    errors = [(medians - batch.labels).abs() for medians, batch in zip(told, batches, strict=True)]
    means = torch.cat(errors).nanmean(dim=0).numpy() * scaling.spread
    return ", ".join(f"{task} {mean:.4f}" for task, mean in zip(TASKS, means, strict=True))
