"""Train the crystal generator of the symmetry grammar."""

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor

from workers.cards import Card, save_checkpoint
from workers.errors import UserError
from workers.generator.symmetry.batches import crystals, pack, proposals
from workers.generator.symmetry.losses import measure
from workers.generator.symmetry.run import Recipe, Run
from workers.generator.symmetry.tokens import Tokens, load, load_features, load_scope

CHECKPOINT = "checkpoint"
TILE = 64  # drafts written together
WATCHED = 1500  # held-out crystals whose loss is reported
HELD_OUT = {
    "mp20": "MP-20 val and test",
    "mpts52": "every formula of MPTS-52 val and test; MP-20 val and test, and of the later structures their formulas",
    "all": "MP-20 val and test; of the later structures every formula of MP-20's and of MPTS-52's val and test",
}


def train(work: Path, device: str, minutes: float, resume: bool, seed: int, size: str = "small") -> None:
    """Train for this much time and leave the run and its averaged weights in the work folder.

    On a CPU its own time counts, so that other work beside it does not shorten the training.
    """
    _check(device)
    torch.set_num_threads(1)
    run = Run(work, replace(Recipe(), size=size), seed, device)
    if resume:
        run.restore()
    tokens = load(work)
    clock = time.process_time if device == "cpu" else time.monotonic
    budget, marked, saved = 60 * minutes, clock() - run.seconds, run.seconds
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, {len(tokens)} structures", flush=True)
    while run.seconds < budget:
        sums: dict[str, list[float]] = {}
        for rows in islice(_epoch(run, tokens), run.batch, None):
            for name, (loss, n) in run.update(rows, run.seconds / budget).items():
                entry = sums.setdefault(name, [0.0, 0])
                entry[0] += loss
                entry[1] += n
            run.batch += 1
            run.seconds = clock() - marked
            if run.seconds >= budget:
                break
            if run.seconds - saved > run.recipe.checkpoint_seconds:
                saved = run.seconds
                run.save()
        else:
            run.epoch, run.batch = run.epoch + 1, 0
        _report(run, "train", {name: loss / max(n, 1) for name, (loss, n) in sums.items()})
        _report(run, "val", _watch(run, tokens))
    run.save()
    command = f"train --data DIR --minutes {minutes:g} --seed {seed} --size {size}"
    export(work, f"python -m workers.training crystal-generator {command}")


def _check(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as exc:  # torch knows them all
        raise UserError(f"device {device!r}: {str(exc).splitlines()[0]}") from exc


def _epoch(run: Run, tokens: Tokens) -> Iterator[Tensor]:
    """Every crystal once, and some of their formulas as proposals, in random order."""
    rng = np.random.default_rng((run.seed, run.epoch))
    members = np.concatenate([tokens.members("train"), _extra(run, tokens, rng)])
    proposed = members[rng.random(len(members)) < run.recipe.proposals]
    readers = [
        pack(crystals(tokens, members.tolist(), rng), run.recipe.batch_rows, rng),
        pack(proposals(tokens, proposed.tolist(), rng), run.recipe.batch_rows, rng),
    ]
    share = _share(tokens, run.recipe)
    while readers:
        index = int(rng.random() < share) if len(readers) == 2 else 0
        rows = next(readers[index], None)
        if rows is None:
            readers.pop(index)
        else:
            yield rows


def _extra(run: Run, tokens: Tokens, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    members = tokens.members("extra")
    lengths = np.diff(tokens.starts)[members]
    recipe = run.recipe
    share = np.where(lengths > recipe.long_rows, recipe.long_extra, recipe.extra)
    return members[rng.random(len(members)) < share]


def _share(tokens: Tokens, recipe: Recipe) -> float:
    """About which share of an epoch's batches are proposals."""
    proposed = recipe.proposals * len(tokens.proposals)
    return float(proposed / (proposed + len(tokens.rows)))


def _watch(run: Run, tokens: Tokens) -> dict[str, float]:
    rng = np.random.default_rng(0)
    members = rng.permutation(tokens.members("val"))[:WATCHED]
    return measure(run.averaged(), pack(crystals(tokens, members.tolist(), rng, steered=False), 4096, rng))


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
    arrays |= load_features(work)
    tokens = load(work)
    train, extra = (len(tokens.members(part)) for part in ("train", "extra"))
    later = f" and later Materials Project structures of up to 40 atoms ({extra})" if extra else ""
    return save_checkpoint(
        work / CHECKPOINT,
        arrays,
        name="crystal-generator",
        kind="crystal-generator",
        config=state["config"],
        tile=TILE,
        data=f"MP-20 train ({train} structures, all coords_source but none){later}",
        licence="CC-BY 4.0, Materials Project",
        held_out=HELD_OUT[load_scope(work)],
        seed=state["seed"],
        hardware=f"one CPU thread ({platform.processor() or platform.machine()})",
        seconds=round(state["seconds"]),
        command=command,
    )
