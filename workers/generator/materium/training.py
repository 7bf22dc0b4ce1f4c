"""Train the generator that writes crystals atom by atom."""

import json
import platform
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from workers.cards import Card, save_checkpoint
from workers.generator.materium.batches import Reader
from workers.generator.materium.losses import losses, measure, moved
from workers.generator.materium.network import SIZES, MateriumModel
from workers.generator.materium.run import Recipe, Run
from workers.generator.materium.tables import Crystals, load
from workers.generator.materium.tokens import own_vocabulary
from workers.generator.units import count_units

CHECKPOINT = "checkpoint"
TILE = 64  # drafts written together
WATCHED = 1500  # held-out crystals whose loss is reported


class Chosen(TypedDict, total=False):
    """What of a model can be chosen: its size, and the order of the atoms."""

    size: str
    order: str


DEFAULT = Chosen(size="small", order="high")  # heaviest first: the paper's best for conditions


def train(work: Path, device: str, minutes: float, resume: bool, seed: int, **chosen: Unpack[Chosen]) -> None:
    """Train for this much time and leave the run and its averaged weights in the work folder.

    On a CPU its own time counts, so that other work beside it does not shorten the training.
    Raises ValueError where a run is resumed as another one than it was.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    chosen = _settled(work, chosen, resume)
    crystals = load(work)
    vocabulary = own_vocabulary(crystals.species)
    run = Run(work, MateriumModel(SIZES[chosen["size"]], vocabulary).to(device), Recipe(), seed)
    if resume:
        run.restore()
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, {len(crystals)} structures", flush=True)
    _spend(run, Reader(crystals, vocabulary, chosen["order"]), 60 * minutes)
    run.save()
    command = f"train --data DIR --minutes {minutes:g} --seed {seed} --size {chosen['size']} --order {chosen['order']}"
    export(work, f"python -m workers.training materium-generator {command}")


def _settled(work: Path, chosen: Chosen, resume: bool) -> Chosen:
    """What the run in the work folder was begun with, or what it is begun with now."""
    file = work / "model.json"
    begun: Chosen = json.loads(file.read_text()) if resume else {**DEFAULT, **chosen}
    if begun | chosen != begun:
        raise ValueError(f"{chosen} chosen, but the run in {work} was begun with {begun}")
    file.write_text(json.dumps(begun))
    return begun


def _spend(run: Run, reader: Reader, budget: float) -> None:
    """Train epoch after epoch until the time is spent."""
    clock = time.process_time if run.device.type == "cpu" else time.monotonic
    progress = run.progress
    marked, saved = clock() - progress.seconds, progress.seconds
    members = reader.crystals.members("train", "extra")
    while progress.seconds < budget:
        sums: dict[str, list[float]] = {}
        batches = reader.batches(members, run.recipe.batch_rows, np.random.default_rng((progress.seed, progress.epoch)))
        for batch in islice(batches, progress.batch, None):
            there = moved(batch, run.device)
            found = run.update(lambda b=there: losses(run.model, b, run.recipe.blur), progress.seconds / budget)  # type: ignore[misc]
            for name, (loss, n) in found.items():
                entry = sums.setdefault(name, [0.0, 0])
                entry[0] += loss
                entry[1] += n
            progress.batch += 1
            progress.seconds = clock() - marked
            if progress.seconds >= budget:
                break
            if progress.seconds - saved > run.recipe.checkpoint_seconds:
                saved = progress.seconds
                run.save()
        else:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        _report(run, "train", {name: loss / max(n, 1) for name, (loss, n) in sums.items()})
        _report(run, "val", watch(run.averaged(), reader))


def watch(model: MateriumModel, reader: Reader) -> dict[str, float]:
    """Losses on held-out crystals, formula shown and nothing else."""
    rng = np.random.default_rng(0)
    members = rng.permutation(reader.crystals.members("val"))[:WATCHED]
    return measure(model, reader.batches(members, 4096, rng, steered=False))


def _report(run: Run, part: str, found: dict[str, float]) -> None:
    text = " ".join(f"{name} {value:.3f}" for name, value in found.items())
    progress = run.progress
    print(f"{progress.seconds / 60:.1f} min, epoch {progress.epoch}, step {progress.step}, {part}: {text}", flush=True)


def export(work: Path, command: str) -> Card:
    """Write the averaged weights of the run in the work folder as a checkpoint, its card still without metrics."""
    state, chosen = (json.loads((work / name).read_text()) for name in ("run.json", "model.json"))
    saved = load_file(work / "run.safetensors")
    arrays: dict[str, npt.NDArray[np.generic]] = {
        name.removeprefix("average."): array.half().cpu().numpy()
        for name, array in saved.items()
        if name.startswith("average.")
    }
    crystals = load(work)
    arrays |= {"species": crystals.species, "radii": crystals.radii, **count_units(_formulas(crystals))}
    layout = {"order": chosen["order"], "most_atoms": int(np.diff(crystals.starts).max())}
    return save_checkpoint(
        work / CHECKPOINT,
        arrays,
        name="materium-generator",
        kind="materium-generator",
        config={"network": asdict(SIZES[chosen["size"]]), "layout": layout},
        tile=TILE,
        data=f"MP-20 train ({len(crystals.members('train'))} structures, all coords_source but none)",
        licence="CC-BY 4.0, Materials Project",
        held_out="MP-20 val and test",
        seed=state["seed"],
        hardware=f"one CPU thread ({platform.processor() or platform.machine()})",
        seconds=round(state["seconds"]),
        command=command,
    )


def _formulas(crystals: Crystals) -> list[list[int]]:
    """Numbers of atoms by element in every cell of the training part."""
    bounds = zip(crystals.starts[:-1], crystals.starts[1:], strict=True)
    rows = [np.unique(crystals.numbers[i:j], return_counts=True)[1].tolist() for i, j in bounds]
    return [rows[int(m)] for m in crystals.members("train", "extra")]
