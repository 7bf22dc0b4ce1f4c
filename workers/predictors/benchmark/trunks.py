"""A trunk for the tasks of a scope, without what they test."""

from pathlib import Path

import torch

from workers.predictors.table import Table
from workers.predictors.teacher.targets import Choice, Targets
from workers.predictors.transfer.holdout import held_out
from workers.predictors.transfer.making import TABLE, TARGETS, make_teacher
from workers.predictors.transfer.trunk import Budget, Trunk


def make_trunk(data: Path, work: Path, scope: str, ways: tuple[Budget, Choice], seed: int) -> Path:
    """Train the teacher and the trunk of a scope, without what it holds out; goes on where it was interrupted."""
    torch.set_num_threads(1)
    budget, choice = ways
    folder = work / "trunks" / scope
    folder.mkdir(parents=True, exist_ok=True)
    spared = held_out(data, scope)
    if not (folder / TARGETS).is_file():
        make_teacher(work, folder, spared, budget, seed)
    trunk = Trunk(Table.load(work / TABLE), spared, folder, budget, seed)
    print(f"{scope}: {len(spared)} compositions held out, {len(trunk.rows)} to learn from", flush=True)
    trunk.mask()
    trunk.align(Targets.load(folder / TARGETS), choice)
    trunk.teach()
    return folder
