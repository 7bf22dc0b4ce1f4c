"""Train the CrystaLLM generator on CIF text."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.cards import Card, save_checkpoint
from workers.generator.crystallm.network import CrystaLLM, CrystaLLMConfig
from workers.generator.crystallm.texts import NOTHING, Texts, load, tells
from workers.generator.crystallm.tokens import VOCABULARY
from workers.generator.losses import Losses, measured
from workers.generator.run import Run, RunRecipe, hardware, known, spend

CHECKPOINT = "checkpoint"
NAME = "crystallm-generator"
TILE = 64  # drafts written together
SHORT, EARLY = 400, 0.5  # the longest text of the first part of the time, and the share of it that this is
WATCHED = 500  # held-out texts whose loss is reported after an epoch: more take time from training
WATCHED_TOKENS = 8192  # in a batch of them


@dataclass(frozen=True, slots=True)
class Recipe(RunRecipe):
    """How the generator is trained."""

    warmup: int = 150
    batch_tokens: int = 4096


def train(work: Path, device: str, minutes: float, resume: bool, seed: int) -> None:
    """Train for this much time and leave the run and its averaged weights in the work folder.

    On a CPU its own time counts, so that other work beside it does not shorten the training.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    texts, recipe = load(work), Recipe()
    run = Run(work, CrystaLLM(CrystaLLMConfig()).to(known(device)), recipe, seed)
    if resume:
        run.restore()
    print(f"{sum(p.numel() for p in run.model.parameters())} parameters, {len(texts)} texts", flush=True)

    def epoch(rng: np.random.Generator, share: float) -> Iterator[Tensor]:
        """Every text once; the long ones, which cost most, only when the short ones are known."""
        longest = SHORT if share < EARLY else run.model.config.context
        return texts.batches(texts.members("train", longest), recipe.batch_tokens, rng)

    spend(run, 60 * minutes, epoch, lambda tokens: losses(run.model, tokens), lambda: watch(run.averaged(), texts))
    run.save()
    export(run, texts, f"python -m workers.training {NAME} train --data DIR --minutes {minutes:g} --seed {seed}")


def losses(model: CrystaLLM, tokens: Tensor) -> Losses:
    """Summed cross-entropy in nats and number of the tokens (B, T) that tell something."""
    telling, tokens = tells(tokens)[:, 1:], tokens.to(model.token.weight.device)
    read = tokens[:, :-1]
    states = model.states(read.clamp(min=0), (read != NOTHING).sum(1))[telling]
    wanted = tokens[:, 1:][telling]
    scores = model.scores(states, None, (0, VOCABULARY)).float()
    return {"TOKEN": (F.cross_entropy(scores, wanted, reduction="sum"), len(wanted))}


def watch(model: CrystaLLM, texts: Texts) -> dict[str, float]:
    """Losses on held-out texts."""
    members = texts.members("val", model.config.context)[:WATCHED]
    batches = texts.batches(members, WATCHED_TOKENS, np.random.default_rng(0))
    return measured(lambda tokens: losses(model, tokens), batches, model.token.weight.device)


def export(run: Run[CrystaLLM], texts: Texts, command: str) -> Card:
    """Write the averaged weights of a run as a checkpoint, its card still without metrics."""
    count = len(texts.members("train", run.model.config.context))
    return save_checkpoint(
        run.work / CHECKPOINT,
        run.halves() | {"cells": texts.cells},
        name=NAME,
        kind=NAME,
        config=asdict(run.model.config),
        tile=TILE,
        data=f"MP-20 train ({count} structures, all coords_source but none, as CIF text)",
        licence="CC-BY 4.0, Materials Project",
        held_out="MP-20 val and test",
        seed=run.progress.seed,
        hardware=hardware(run.device),
        seconds=round(run.progress.seconds),
        command=command,
    )
