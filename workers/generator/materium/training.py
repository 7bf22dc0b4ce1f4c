"""Train the generator that writes crystals atom by atom."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch

from workers.cards import Card, save_checkpoint
from workers.errors import UserError
from workers.generator.losses import Losses
from workers.generator.materium.batches import Batch, Reader
from workers.generator.materium.losses import losses, measure, moved
from workers.generator.materium.network import SIZES, MateriumModel
from workers.generator.materium.tables import Crystals, load
from workers.generator.materium.tokens import own_vocabulary
from workers.generator.run import Run, RunRecipe, hardware, known, spend
from workers.generator.units import count_units

CHECKPOINT = "checkpoint"
TILE = 64  # drafts written together
WATCHED = 1500  # held-out crystals whose loss is reported


@dataclass(frozen=True, slots=True)
class Recipe(RunRecipe):
    """How the generator is trained."""

    batch_rows: int = 2048
    blur: float = 0.3  # share of a number's target that is spread over its neighbours


class Chosen(TypedDict, total=False):
    """What of a model can be chosen: its size, and the order of the atoms."""

    size: str
    order: str


DEFAULT = Chosen(size="small", order="high")  # heaviest first: the paper's best for conditions


def train(work: Path, device: str, minutes: float, resume: bool, seed: int, **chosen: Unpack[Chosen]) -> None:
    """Train for this much time and leave the run and its averaged weights in the work folder.

    On a CPU its own time counts, so that other work beside it does not shorten the training.
    Raises UserError where a run is resumed as another one than it was.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    chosen = _settled(work, chosen, resume)
    crystals = load(work)
    vocabulary = own_vocabulary(crystals.species)
    recipe = Recipe()
    run = Run(work, MateriumModel(SIZES[chosen["size"]], vocabulary).to(known(device)), recipe, seed)
    if resume:
        run.restore()
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, {len(crystals)} structures", flush=True)
    reader, members = Reader(crystals, vocabulary, chosen["order"]), crystals.members("train", "extra")

    def blurred(batch: Batch) -> Losses:
        return losses(run.model, moved(batch, run.device), recipe.blur)

    spend(
        run,
        60 * minutes,
        lambda rng, _: reader.batches(members, recipe.batch_rows, rng),
        blurred,
        lambda: watch(run.averaged(), reader),
    )
    run.save()
    command = f"train --data DIR --minutes {minutes:g} --seed {seed} --size {chosen['size']} --order {chosen['order']}"
    export(run, crystals, chosen, f"python -m workers.training materium-generator {command}")


def _settled(work: Path, chosen: Chosen, resume: bool) -> Chosen:
    """What the run in the work folder was begun with, or what it is begun with now."""
    file = work / "model.json"
    begun: Chosen = json.loads(file.read_text()) if resume else {**DEFAULT, **chosen}
    if begun | chosen != begun:
        raise UserError(f"--resume: the run in {work} was begun with size {begun['size']} and order {begun['order']}")
    file.write_text(json.dumps(begun))
    return begun


def watch(model: MateriumModel, reader: Reader) -> dict[str, float]:
    """Losses on held-out crystals, formula shown and nothing else."""
    rng = np.random.default_rng(0)
    members = rng.permutation(reader.crystals.members("val"))[:WATCHED]
    return measure(model, reader.batches(members, 4096, rng, steered=False))


def export(run: Run[MateriumModel], crystals: Crystals, chosen: Chosen, command: str) -> Card:
    """Write the averaged weights of a run as a checkpoint, its card still without metrics."""
    arrays = run.halves()
    arrays |= {"species": crystals.species, "radii": crystals.radii, **count_units(_formulas(crystals))}
    layout = {"order": chosen["order"], "most_atoms": int(np.diff(crystals.starts).max())}
    return save_checkpoint(
        run.work / CHECKPOINT,
        arrays,
        name="materium-generator",
        kind="materium-generator",
        config={"network": asdict(SIZES[chosen["size"]]), "layout": layout},
        tile=TILE,
        data=f"MP-20 train ({len(crystals.members('train'))} structures, all coords_source but none)",
        licence="CC-BY 4.0, Materials Project",
        held_out="MP-20 val and test",
        seed=run.progress.seed,
        hardware=hardware(run.device),
        seconds=round(run.progress.seconds),
        command=command,
    )


def _formulas(crystals: Crystals) -> list[list[int]]:
    """Numbers of atoms by element in every cell of the training part."""
    bounds = zip(crystals.starts[:-1], crystals.starts[1:], strict=True)
    rows = [np.unique(crystals.numbers[i:j], return_counts=True)[1].tolist() for i, j in bounds]
    return [rows[int(m)] for m in crystals.members("train", "extra")]
