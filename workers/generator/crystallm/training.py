"""Train the CrystaLLM generator on CIF text."""

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.cards import Card, save_checkpoint
from workers.errors import UserError
from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.run import Recipe, Run
from workers.generator.crystallm.texts import Texts, load, tells
from workers.generator.crystallm.tokens import VOCABULARY

CHECKPOINT = "checkpoint"
NAME = "crystallm-generator"
TILE = 64  # drafts written together
SHORT, EARLY = 400, 0.5  # the longest text of the first part of the time, and the share of it that this is
WATCHED = 500  # held-out texts whose loss is reported after an epoch: more take time from training
WATCHED_TOKENS = 8192  # in a batch of them


def train(work: Path, device: str, minutes: float, resume: bool, seed: int) -> None:
    """Train for this much time and leave the run and its averaged weights in the work folder.

    On a CPU its own time counts, so that other work beside it does not shorten the training.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    texts = load(work)
    config = CrystaLLMConfig()
    run = Run(work, CrystaLLM(config).to(_known(device)), Recipe(), seed)
    if resume:
        run.restore()
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, {len(texts)} texts", flush=True)
    _spend(run, texts, 60 * minutes)
    run.save()
    export(run, texts, f"python -m workers.training {NAME} train --data DIR --minutes {minutes:g} --seed {seed}")


def _known(device: str) -> str:
    try:
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as exc:  # torch knows them all
        raise UserError(f"device {device!r}: {str(exc).splitlines()[0]}") from exc
    return device


def _spend(run: Run[CrystaLLM], texts: Texts, budget: float) -> None:
    """Train epoch after epoch until the time is spent."""
    clock = time.process_time if run.device.type == "cpu" else time.monotonic
    progress = run.progress
    marked, saved = clock() - progress.seconds, progress.seconds
    while progress.seconds < budget:
        losses: list[float] = []
        for tokens in islice(_epoch(run, texts, progress.seconds / budget), progress.batch, None):
            there = tokens.to(run.device)
            losses.append(run.update(lambda t=there: loss(run.model, t), progress.seconds / budget))  # type: ignore[misc]
            progress.batch += 1
            progress.seconds = clock() - marked
            if progress.seconds >= budget:
                break
            if progress.seconds - saved > run.recipe.checkpoint_seconds:
                saved = progress.seconds
                run.save()
                _report(run, "train", losses)
        else:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        _report(run, "train", losses)
        _report(run, "val", [watch(run.averaged(), texts)])


def _epoch(run: Run[CrystaLLM], texts: Texts, share: float) -> Iterator[Tensor]:
    """Every text once; the long ones, which cost most, only when the short ones are known."""
    longest = SHORT if share < EARLY else run.model.config.context
    rng = np.random.default_rng((run.progress.seed, run.progress.epoch))
    return texts.batches(texts.members("train", longest), run.recipe.batch_tokens, rng)


def loss(model: CrystaLLM, tokens: Tensor) -> Tensor:
    """Mean cross-entropy in nats of the tokens (B, T) that tell something."""
    telling = tells(tokens)[:, 1:]
    states = model.states(tokens[:, :-1].clamp(min=0))[telling]
    return F.cross_entropy(model.scores(states, None, (0, VOCABULARY)).float(), tokens[:, 1:][telling])


def watch(model: CrystaLLM, texts: Texts) -> float:
    """Mean loss of held-out texts."""
    total, count = 0.0, 0
    members = texts.members("val", model.config.context)[:WATCHED]
    device = model.token.weight.device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for tokens in texts.batches(members, WATCHED_TOKENS, np.random.default_rng(0)):
            telling = int(tells(tokens)[:, 1:].sum())
            total += float(loss(model, tokens.to(device))) * telling
            count += telling
    return total / max(count, 1)


def _report(run: Run[CrystaLLM], part: str, losses: Sequence[float]) -> None:
    """Print the mean of some losses; a run that goes on may find its epoch at its end and have none."""
    at = f"{run.progress.seconds / 60:.1f} min, epoch {run.progress.epoch}, step {run.progress.step}"
    if losses:
        print(f"{at}, {part}: {np.mean(losses):.4f}", flush=True)


def export(run: Run[CrystaLLM], texts: Texts, command: str) -> Card:
    """Write the averaged weights of a run as a checkpoint, its card still without metrics."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        name: array.half().cpu().numpy() for name, array in run.average.items()
    }
    count = len(texts.members("train", run.model.config.context))
    device = "one CPU thread" if run.device.type == "cpu" else torch.cuda.get_device_name(run.device)
    return save_checkpoint(
        run.work / CHECKPOINT,
        arrays | {"cells": texts.cells},
        name=NAME,
        kind=NAME,
        config=asdict(run.model.config),
        tile=TILE,
        data=f"MP-20 train ({count} structures, all coords_source but none, as CIF text)",
        licence="CC-BY 4.0, Materials Project",
        held_out="MP-20 val and test",
        seed=run.progress.seed,
        hardware=f"{device} ({platform.processor() or platform.machine()})",
        seconds=round(run.progress.seconds),
        command=command,
    )
