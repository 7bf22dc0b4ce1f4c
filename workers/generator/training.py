"""Train the crystal generator."""

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor

from workers.cards import Card, load_checkpoint, save_checkpoint, write_card
from workers.errors import UserError
from workers.generator import dataset, evaluation
from workers.generator.batches import Batches
from workers.generator.crystal_generator import CrystalGenerator
from workers.generator.dataset import PARTS, Tokens
from workers.generator.grammar import Column, Role
from workers.generator.losses import measure
from workers.generator.training_run import Recipe, Run
from workers.generator.units import count_units

CHECKPOINT = "checkpoint"
TILE = 64  # drafts written together
EVALUATIONS = {"one_sample": (1000, 1, 0.2), "within_20": (1000, 20, 0.8)}  # targets, samples each, temperature
BENCHMARK = "MP-20 test, 1,000 fixed at random, cell content given; StructureMatcher ltol 0.3, stol 0.5, angle_tol 10"


def prepare(data: Path, work: Path) -> None:
    """Encode the published structures as tokens."""
    dataset.build(data, work)


def formulas_seen(tokens: Tokens) -> Iterator[list[int]]:
    """Numbers of atoms by element in the primitive cells of the MP-20 part."""
    for index in np.flatnonzero(tokens.part == PARTS.index("train")):
        rows = tokens.rows[tokens.starts[index] : tokens.starts[index + 1]]
        yield rows[rows[:, Column.ROLE] == Role.FORMULA, Column.COUNT].tolist()


def train(work: Path, device: str, minutes: float, resume: bool, seed: int) -> None:
    """Train for this much time and leave the run and its averaged weights in the work folder."""
    if device != "cpu":
        raise UserError(f"device {device!r}: the generator trains on cpu")
    torch.set_num_threads(1)
    run = Run(work, Recipe(), seed)
    if resume:
        run.restore()
    batches = Batches(dataset.load(work), run.recipe.batch_rows)
    held_out = np.random.default_rng(0).permutation(batches.members("val"))[:1500]
    budget, marked, saved = 60 * minutes, time.monotonic() - run.seconds, run.seconds
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters", flush=True)
    while run.seconds < budget:
        sums: dict[str, list[float]] = {}
        for rows in _epoch(run, batches, run.seconds / budget):
            for name, (loss, n) in run.update(rows, run.seconds / budget).items():
                entry = sums.setdefault(name, [0.0, 0])
                entry[0] += loss
                entry[1] += n
            run.seconds = time.monotonic() - marked
            if run.seconds >= budget:
                break
            if run.seconds - saved > run.recipe.checkpoint_seconds:
                saved = run.seconds
                run.save()
                _report(run, "val", measure(run.averaged(), batches, held_out))
        run.epoch += 1
        _report(run, "train", {name: loss / n for name, (loss, n) in sums.items()})
    run.save()
    _report(run, "val", measure(run.averaged(), batches, held_out))
    export(work, f"python -m workers.training crystal-generator train --data DIR --minutes {minutes:g} --seed {seed}")


def _epoch(run: Run, batches: Batches, share: float) -> Iterator[Tensor]:
    rng = np.random.default_rng((run.seed, run.epoch))
    kept = run.recipe.extra_share if share < run.recipe.late else run.recipe.late_share
    extra = batches.members("extra")
    extra = extra[batches.lengths[extra] <= run.recipe.extra_rows]
    members = np.concatenate([batches.members("train"), extra[rng.random(len(extra)) < kept]])
    return batches.pack(members, rng)


def _report(run: Run, part: str, found: dict[str, float]) -> None:
    text = " ".join(f"{name} {value:.3f}" for name, value in found.items())
    print(f"{run.seconds / 60:.1f} min, epoch {run.epoch}, step {run.step}, {part}: {text}", flush=True)


def export(work: Path, command: str) -> Card:
    """Write the averaged weights of the run in the work folder as a checkpoint, its card still without metrics."""
    state = json.loads((work / "run.json").read_text())
    saved = load_file(work / "run.safetensors")
    arrays: dict[str, npt.NDArray[np.generic]] = {
        name.removeprefix("average."): array.half().numpy()
        for name, array in saved.items()
        if name.startswith("average.")
    }
    with np.load(work / dataset.FILE) as prepared:
        arrays |= {name: prepared[name] for name in ("element_features", "site_features", "radii")}
    tokens = dataset.load(work)
    arrays |= count_units(formulas_seen(tokens))

    def count(part: str) -> int:
        return int((tokens.part == PARTS.index(part)).sum())

    return save_checkpoint(
        work / CHECKPOINT,
        arrays,
        name="crystal-generator",
        kind="crystal-generator",
        config=state["config"],
        tile=TILE,
        data=f"MP-20 train ({count('train')} structures) and later Materials Project structures ({count('extra')})",
        licence="CC-BY 4.0, Materials Project",
        held_out="MP-20 val and test; of the later structures, every formula that occurs there",
        seed=state["seed"],
        hardware=f"one CPU thread ({platform.processor() or platform.machine()})",
        seconds=round(state["seconds"]),
        command=command,
    )


def evaluate(data: Path, work: Path, device: str, seed: int) -> None:
    """Measure the checkpoint in the work folder on held-out structures and write the figures into its card."""
    torch.set_num_threads(1)
    card, arrays = load_checkpoint(work / CHECKPOINT)
    generator = CrystalGenerator(card, arrays, device)
    metrics: dict[str, object] = {"benchmark": BENCHMARK}
    for name, (targets, count, temperature) in EVALUATIONS.items():
        metrics[name] = evaluation.evaluate(generator, data, targets, count, temperature, seed)
        print(name, json.dumps(metrics[name]), flush=True)
        card = replace(card, metrics=metrics)
        write_card(work / CHECKPOINT, card)
