"""Train the crystal generator of the symmetry grammar."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.cards import Card, save_checkpoint
from workers.generator.losses import Losses
from workers.generator.run import Run, RunRecipe, hardware, known, spend
from workers.generator.symmetry.batches import crystals, pack, proposals
from workers.generator.symmetry.losses import losses, measure
from workers.generator.symmetry.network import SIZES, GeneratorModel
from workers.generator.symmetry.tokens import Tokens, load, load_features, load_scope

STEPS = 1 << 32  # more than a run has
CHECKPOINT = "checkpoint"
TILE = 64  # drafts written together
WATCHED = 1500  # held-out crystals whose loss is reported
HELD_OUT = {
    "mp20": "MP-20 val and test",
    "product": "every formula of MPTS-52 val and test; MP-20 val and test, and of the later structures their formulas",
}


@dataclass(frozen=True, slots=True)
class Recipe(RunRecipe):
    """How the generator is trained."""

    peak_rate: float = 1.5e-3
    batch_rows: int = 1536
    blur: float = 2.0  # standard deviation in bins of the targets of numbers
    proposals: float = 0.3  # share of the crystals whose formula is proposed in an epoch
    extra: float = 0.3  # share of the later structures that an epoch reads,
    long_rows: int = 45  # and of those of more rows
    long_extra: float = 0.15  # a smaller one, for they cost more than they teach


def train(work: Path, device: str, minutes: float, resume: bool, seed: int, size: str = "small") -> None:
    """Train for this much time and leave the run and its averaged weights in the work folder.

    On a CPU its own time counts, so that other work beside it does not shorten the training.
    """
    torch.set_num_threads(1)
    recipe = Recipe()
    run = begun(work, recipe, seed, known(device), size)
    if resume:
        run.restore()
        run.progress.seed = seed  # it may go on with other random numbers
    tokens = load(work)
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, {len(tokens)} structures", flush=True)

    def dropped(rows: Tensor) -> Losses:
        # A run that goes on drops out what it would have dropped.
        torch.manual_seed(run.progress.seed * STEPS + run.progress.step)
        return losses(run.model, rows.to(run.device), recipe.blur)

    spend(run, 60 * minutes, lambda rng, _: _epoch(tokens, recipe, rng), dropped, lambda: _watch(run, tokens))
    run.save()
    command = f"train --data DIR --minutes {minutes:g} --seed {seed} --size {size}"
    export(run, tokens, f"python -m workers.training crystal-generator {command}")


def begun(work: Path, recipe: RunRecipe, seed: int, device: str = "cpu", size: str = "small") -> Run[GeneratorModel]:
    """A run with a new model; raises FileNotFoundError before crystals were prepared."""
    torch.manual_seed(seed)
    features = load_features(work)
    arrays = [torch.from_numpy(features[name]) for name in ("element_features", "site_features")]
    model = GeneratorModel(SIZES[size], *arrays).to(device)
    return Run(work, model, recipe, seed, config=asdict(model.config))


def _epoch(tokens: Tokens, recipe: Recipe, rng: np.random.Generator) -> Iterator[Tensor]:
    """Every crystal once, and some of their formulas as proposals, in random order."""
    members = np.concatenate([tokens.members("train"), _extra(tokens, recipe, rng)])
    proposed = members[rng.random(len(members)) < recipe.proposals]
    readers = [
        pack(crystals(tokens, members.tolist(), rng), recipe.batch_rows, rng),
        pack(proposals(tokens, proposed.tolist(), rng), recipe.batch_rows, rng),
    ]
    share = _share(tokens, recipe)
    while readers:
        index = int(rng.random() < share) if len(readers) == 2 else 0
        rows = next(readers[index], None)
        if rows is None:
            readers.pop(index)
        else:
            yield rows


def _extra(tokens: Tokens, recipe: Recipe, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    members = tokens.members("extra")
    lengths = np.diff(tokens.starts)[members]
    share = np.where(lengths > recipe.long_rows, recipe.long_extra, recipe.extra)
    return members[rng.random(len(members)) < share]


def _share(tokens: Tokens, recipe: Recipe) -> float:
    """About which share of an epoch's batches are proposals."""
    proposed = recipe.proposals * len(tokens.proposals)
    return float(proposed / (proposed + len(tokens.rows)))


def _watch(run: Run[GeneratorModel], tokens: Tokens) -> dict[str, float]:
    rng = np.random.default_rng(0)
    members = rng.permutation(tokens.members("val"))[:WATCHED]
    return measure(run.averaged(), pack(crystals(tokens, members.tolist(), rng, steered=False), 4096, rng))


def export(run: Run[GeneratorModel], tokens: Tokens, command: str) -> Card:
    """Write the averaged weights of a run as a checkpoint, its card still without metrics."""
    train, extra = (len(tokens.members(part)) for part in ("train", "extra"))
    later = f" and later Materials Project structures of up to 40 atoms ({extra})" if extra else ""
    return save_checkpoint(
        run.work / CHECKPOINT,
        run.halves() | load_features(run.work),
        name="crystal-generator",
        kind="crystal-generator",
        config=asdict(run.model.config),
        tile=TILE,
        data=f"MP-20 train ({train} structures, all coords_source but none){later}",
        licence="CC-BY 4.0, Materials Project",
        held_out=HELD_OUT[load_scope(run.work)],
        seed=run.progress.seed,
        hardware=hardware(run.device),
        seconds=round(run.progress.seconds),
        command=command,
    )
