"""The recipe of the composition predictor: prepare the table, pretrain, fine-tune an ensemble, calibrate, evaluate."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from workers.predictors.batches import Batches, Scaling, measure_scaling
from workers.predictors.fitting import Stage, fit
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.table import LABELS, TASKS, Table

MEMBERS = 3
TABLE = "table.npz"
_PRETRAINING = 0.4  # of the minutes; the members share the rest


def prepare(data: Path, work: Path) -> None:
    """Gather formulas, labels and splits from the data folder into one table in the work folder."""
    from workers.predictors.labels import gather  # reads elements from pymatgen, which training machines may lack

    work.mkdir(parents=True, exist_ok=True)
    gather(data).save(work / TABLE)


def train(work: Path, device: str, minutes: float, resume: bool, seed: int) -> None:
    """Pretrain one network, fine-tune copies of it for the ensemble; snapshots lie in the work folder."""
    table = Table.load(work / TABLE)
    if not resume:
        for snapshot in work.glob("*.safetensors"):
            snapshot.unlink()
    torch.manual_seed(seed)
    scaling = measure_scaling(table)
    network = new_network(table).to(device)
    report = reporter(table, scaling)
    stage = _pretraining(minutes, seed)
    fit(network, stage, Batches(table, scaling, _pretraining_rows(table), 1024, (seed, 0)), work, report)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    for member in range(MEMBERS):
        network.load_state_dict(start)
        batches = Batches(table, scaling, table.rows("train", labelled=True), 512, (seed, 1, member))
        fit(network, _fine_tuning(minutes, seed, member), batches, work, report)


def new_network(table: Table) -> Network:
    """A network with random weights over the table's elements."""
    network = Network(NetworkConfig(len(table.elements), table.features.shape[1], len(TASKS)))
    spread = table.features.std(axis=0)
    centred = (table.features - table.features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    network.table[1:] = torch.from_numpy(centred.astype(np.float32))
    return network


def _pretraining_rows(table: Table) -> np.ndarray:
    """Every formula of the training split, those of the Materials Project's labels three times."""
    labelled = table.rows("train", labelled=True)
    return np.concatenate((table.rows("train", labelled=False), labelled, labelled))


def _pretraining(minutes: float, seed: int) -> Stage:
    return Stage(
        name="pretraining", seconds=60 * minutes * _PRETRAINING, peak=2e-3, final=1e-3, decay=0.02, masked_rows=0.4,
        guess_weight=0.1, task_weights=(1.0, 1.0, 0.5, 0.5, 0.5, 0.25), seed=seed,
    )  # fmt: skip


def _fine_tuning(minutes: float, seed: int, member: int) -> Stage:
    return Stage(
        name=f"member-{member}", seconds=60 * minutes * (1 - _PRETRAINING) / MEMBERS, peak=2e-3, final=1e-6, decay=0.02,
        masked_rows=0.1, guess_weight=0.0, task_weights=(1.0, 1.0, 0.5, 0.1, 0.1, 0.05), seed=seed + 1 + member,
    )  # fmt: skip


def reporter(table: Table, scaling: Scaling) -> Callable[[Network], str]:
    """A function that tells a network's mean absolute errors on the validation split."""
    batches = Batches(table, scaling, table.rows("val", labelled=True), 1024, (0,))

    @torch.inference_mode()
    def report(network: Network) -> str:
        errors = []
        for step in range(batches.epoch_steps):
            batch = batches[step]
            medians, _ = network(batch.numbers.to(network.table.device), batch.shares.to(network.table.device))
            errors.append((medians.cpu() - batch.labels).abs())
        means = torch.cat(errors).nanmean(dim=0).numpy() * scaling.spread
        return ", ".join(f"{task} {mean:.4f}" for task, mean in zip(TASKS[:LABELS], means[:LABELS], strict=True))

    return report


def evaluate(data: Path, work: Path, device: str, seed: int) -> None:
    """Assemble and calibrate the checkpoint in the work folder, and measure it beside the baseline."""
    from workers.predictors.evaluation import publish  # needs scikit-learn, which training machines may lack

    card = publish(Table.load(work / TABLE), work, device, seed)
    print(json.dumps(card.metrics, indent=2))
