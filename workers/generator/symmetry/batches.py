"""Batches of sequences of about equal length, conditions shown or hidden anew each time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.generator.batches import bundles
from workers.generator.symmetry.tokens import Tokens
from workers.generator.symmetry.vocabulary import PADDING, Column, Role

UNCONDITIONED = 0.5  # share of sequences without any condition
SHOWN = 0.5  # of the others, share of the known conditions that are shown
LOOSE = 1.5  # rows that a batch's sequences may differ in length by chance

Rows = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Sequences:
    """What an epoch reads: the shown conditions of each sequence, and its rows."""

    wanted: list[npt.NDArray[np.int64]]
    rows: list[Rows]

    def lengths(self) -> npt.NDArray[np.int64]:
        return np.array([len(w) + len(r) for w, r in zip(self.wanted, self.rows, strict=True)])


def crystals(tokens: Tokens, members: Sequence[int], rng: np.random.Generator, steered: bool = True) -> Sequences:
    """The rows of the crystals, with conditions or without."""
    rows = [tokens.rows[tokens.starts[m] : tokens.starts[m + 1]] for m in members]
    return Sequences([_shown(tokens.wanted[m], rng, steered) for m in members], rows)


def proposals(tokens: Tokens, members: Sequence[int], rng: np.random.Generator) -> Sequences:
    """The proposals of the crystals' formulas."""
    starts = tokens.proposal_starts
    rows = [tokens.proposals[starts[m] : starts[m + 1]] for m in members]
    return Sequences([_shown(tokens.wanted[m], rng, True) for m in members], rows)


def _shown(wanted: npt.NDArray[np.int16], rng: np.random.Generator, steered: bool) -> npt.NDArray[np.int64]:
    if not steered or rng.random() < UNCONDITIONED:
        return np.zeros(0, dtype=np.int64)
    return wanted[(wanted >= 0) & (rng.random(len(wanted)) < SHOWN)].astype(np.int64)


def pack(sequences: Sequences, budget: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Padded rows (B, T, COLUMNS) of all sequences, at most `budget` rows each, in random order of batches."""
    for members in bundles(sequences.lengths(), budget, LOOSE, rng):
        yield padded(sequences, members)


def padded(sequences: Sequences, members: npt.NDArray[np.int64]) -> Tensor:
    """The rows of some sequences, conditions first, filled up at their ends."""
    lengths = sequences.lengths()[members]
    table = np.empty((len(members), int(lengths.max()), len(Column)), dtype=np.int64)
    table[:] = PADDING
    for line, index, length in zip(table, members, lengths, strict=True):
        wanted = sequences.wanted[index]
        line[: len(wanted), Column.ROLE] = Role.CONDITION
        line[: len(wanted), Column.VALUE] = wanted
        line[len(wanted) : length] = sequences.rows[index]
    return torch.from_numpy(table)
