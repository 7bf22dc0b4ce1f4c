"""The recipe of the composition predictor: prepare, a trunk, an ensemble fine-tuned from it, calibrate, evaluate."""

import json
from pathlib import Path

import torch

from workers.predictors.batches import Batches
from workers.predictors.fitting import Stage, Trainee, fit
from workers.predictors.objectives import Hiding, Telling
from workers.predictors.table import Table
from workers.predictors.teacher.targets import Targets
from workers.predictors.transfer.making import TABLE, TARGETS, make_table, make_teacher
from workers.predictors.transfer.trunk import Budget, Trunk, report_errors

MEMBERS = 3
SCOPE = "product"
_SHARES = (0.12, 0.08, 0.12, 0.2)  # of the minutes: teacher, masked, aligned, taught; the members have the rest
_MEMBERS = 1 - sum(_SHARES)
_TASK_WEIGHTS = (1.0, 1.0, 0.5, 0.1, 0.1, 0.05, 0.05, 0.05)


def prepare(data: Path, work: Path) -> None:
    """Gather formulas, labels and splits from the data folder into one table, and describe the teacher's corpus."""
    make_table(data, work, processes=2, limit=None)


def train(work: Path, device: str, minutes: float, resume: bool, seed: int) -> None:
    """Train a teacher, a trunk, and copies of the trunk as the ensemble; snapshots lie in the work folder."""
    torch.set_num_threads(1)  # a budget of processor time is one of work only where no thread spins
    table = Table.load(work / TABLE)
    folder = work / "trunks" / SCOPE
    if not resume:
        for snapshot in [*work.glob("*.safetensors"), *folder.glob("*.safetensors"), *folder.glob(TARGETS)]:
            snapshot.unlink()
    teacher, masked, aligned, taught = (minutes * share for share in _SHARES)
    budget = Budget(teacher, masked, aligned, taught)
    spared = frozenset(table.names[table.splits == 2].tolist())
    if not (folder / TARGETS).is_file():
        make_teacher(work, folder, spared, budget, seed)
    trunk = Trunk(table, spared, folder, budget, seed)
    trunk.network.to(device)
    trunk.mask()
    trunk.align(Targets.load(folder / TARGETS), "ground")
    trunk.teach()
    for member in range(MEMBERS):
        seconds = 60 * minutes * _MEMBERS / MEMBERS
        tune_member(trunk, table, work, Stage(f"member-{member}", seconds, 2e-3, 1e-6, 0.02, seed + 1 + member))


def tune_member(trunk: Trunk, table: Table, work: Path, stage: Stage) -> None:
    """Fine-tune the trunk's network on the labels that the predictor answers, and take its weights back."""
    start = {name: value.clone() for name, value in trunk.network.state_dict().items()}
    objective = Telling(trunk.network, Hiding(rows=0.1), _TASK_WEIGHTS)
    batches = Batches(table, trunk.scaling, table.rows("train", labelled=True), 512, (stage.seed, 1))
    trainee = Trainee(trunk.network, objective, lambda: report_errors(trunk.network, trunk.watched, trunk.scaling))
    fit(trainee, stage, batches, work)
    trunk.network.load_state_dict(start)


def evaluate(data: Path, work: Path, device: str, seed: int) -> None:
    """Assemble and calibrate the checkpoint in the work folder, and measure it beside the baseline."""
    from workers.predictors.evaluation import publish  # needs scikit-learn, which training machines may lack

    card = publish(Table.load(work / TABLE), work, device, seed)
    print(json.dumps(card.metrics, indent=2))
