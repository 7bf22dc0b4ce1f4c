"""From the published tables to what a trunk learns from: labels gathered, corpus described, a teacher trained."""

from collections.abc import Collection
from pathlib import Path

from workers.predictors.fitting import Stage
from workers.predictors.teacher.materials import load_materials
from workers.predictors.teacher.targets import make_targets
from workers.predictors.teacher.teaching import ContrastiveTeacher
from workers.predictors.transfer.trunk import Budget

TABLE = "table.npz"
TARGETS = "targets.npz"


def make_table(data: Path, work: Path, processes: int, limit: int | None) -> None:
    """Gather the labels and describe the corpus; needs pymatgen, CHGNet and spglib, the other steps do not."""
    from workers.predictors.labels import gather
    from workers.predictors.teacher.descriptions import prepare

    work.mkdir(parents=True, exist_ok=True)
    if not (work / TABLE).is_file():
        gather(data).save(work / TABLE)
    prepare(data, work, processes, limit)


def make_teacher(work: Path, folder: Path, spared: Collection[str], budget: Budget, seed: int) -> None:
    """Train a teacher on the described corpus without some compositions, and write its targets to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    materials = load_materials(work).without(spared)
    teacher = ContrastiveTeacher(materials, seed)
    print(f"{folder.name}: a teacher of {len(materials)} structures", flush=True)
    teacher.learn(materials, folder, Stage("teacher", 60 * budget.teacher, 2e-3, 1e-5, 0.0, seed, budget.steps))
    make_targets(teacher, materials).save(folder / TARGETS)
