"""Writes crystals with the network, a tile of them at a time.

- Token rows in, next values out: the formula is read once into the cache, each step adds a token and draws the next.
- A crystal depends on weights, formula and seed alone: tiles have a fixed shape, and each draft draws from its own
  counter-based stream, so that its neighbours in the tile cannot change a bit of it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.generator.draft import DeadEnd, Draft, site_slice
from workers.generator.grammar import CELL, NO_SITE, SITE_AT, Column, Role, prompt_rows
from workers.generator.model import HEADS, GeneratorModel, attend

PROMPT = 8  # slots for the formula's elements
ATTEMPTS = 8
WARMER = 0.15  # added to the temperature at each further attempt: what failed when cold would fail alike again
JOINING = 16  # drafts that join a tile together
LENGTHS = (56, 96)  # tokens that a tile's rows have room for
HIDDEN = -1e9
TRIES = 8  # candidates checked at once
MOST_TRIES = 64
Logs = npt.NDArray[np.float64]


class Sample:
    """One crystal asked for: its draft, its own stream of random numbers, what the model thinks of the draft so far.

    Where a draft cannot be finished the sample begins again with its seed's next stream, a little warmer.
    """

    def __init__(self, begin: Callable[[], Draft], seed: int, temperature: float) -> None:
        self.begin, self.seed, self.base_temperature = begin, seed, temperature
        self.attempt = -1
        self.restart()

    def restart(self) -> None:
        self.attempt += 1
        self.draft = self.begin()
        self.stream = stream_of(self.seed, self.attempt)
        self.temperature = self.base_temperature + WARMER * self.attempt
        self.log_likelihood = 0.0
        self.flaw: str | None = None

    @property
    def done(self) -> bool:
        return self.flaw is not None or self.draft.done


def stream_of(seed: int, attempt: int) -> np.random.Generator:
    """The counter-based stream of one attempt at one sample."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, attempt], dtype=np.uint64)))


class _Tile:
    """Rows of one fixed shape: who is in each, how far it is, and the keys and values of each block."""

    def __init__(self, model: GeneratorModel, rows: int, length: int) -> None:
        config = model.config
        shape = (rows, config.heads, length, config.width // config.heads)
        self.samples: list[Sample | None] = [None] * rows
        self.ends = torch.full((rows,), PROMPT)
        self.mask = torch.full((rows, 1, 1, length), HIDDEN)
        self.keys = [torch.zeros(shape) for _ in range(config.layers)]
        self.values = [torch.zeros(shape) for _ in range(config.layers)]

    def free(self) -> list[int]:
        return [row for row, sample in enumerate(self.samples) if sample is None or sample.done]

    def busy(self) -> list[tuple[int, Sample]]:
        return [(row, sample) for row, sample in enumerate(self.samples) if sample is not None and not sample.done]


class Sampler:
    """The network prepared for writing, in tiles of `tile` drafts."""

    def __init__(self, model: GeneratorModel, tile: int) -> None:
        self.model = model.eval()
        self.tile = tile
        with torch.inference_mode():
            self.tables = model.tables()
            self.folded = model.fold(self.tables)

    def run(self, samples: Sequence[Sample]) -> None:
        """Write all drafts to their end, or to a flaw; when some are finished, others take their rows."""
        for length in LENGTHS:
            waiting = [sample for sample in reversed(samples) if _length(sample) == length]
            if waiting:
                with torch.inference_mode():
                    self._run_tile(waiting, _Tile(self.model, self.tile, length))

    def _run_tile(self, waiting: list[Sample], tile: _Tile) -> None:
        while True:
            free = tile.free()
            while waiting and len(free) >= JOINING:
                joining = [waiting.pop() for _ in range(min(JOINING, len(waiting)))]
                self._join(tile, free[: len(joining)], joining)
                free = free[len(joining) :]
            busy = tile.busy()
            if not busy:
                return
            states = self._step(tile, busy)
            scores = self._scores(states, busy)
            for row, sample in busy:
                _draw(sample, scores[_head(sample)][row])
                if sample.flaw is not None and sample.attempt + 1 < ATTEMPTS:
                    sample.restart()
                    tile.samples[row] = None
                    waiting.append(sample)

    def _join(self, tile: _Tile, places: list[int], joining: Sequence[Sample]) -> None:
        """Read the formulas of new drafts into the cache of their rows."""
        table = _empty(JOINING, PROMPT)
        table[:, 0, Column.ROLE] = Role.FORMULA  # an empty row must see something
        for row, sample in enumerate(joining):
            prompt = prompt_rows(sample.draft.formula)
            table[row, : len(prompt)] = prompt
        rows = torch.from_numpy(table)
        seen = rows[..., Column.ROLE] == Role.FORMULA
        mask = torch.zeros(seen.shape).masked_fill(~seen, HIDDEN)[:, None, None]
        where, count = torch.tensor(places), len(places)
        x = self.model.embed(rows, self.folded)  # (JOINING, PROMPT, C)
        for index, block in enumerate(self.model.layers()):
            q, k, v = block.project(x)
            tile.keys[index][where, :, :PROMPT] = k[:count]
            tile.values[index][where, :, :PROMPT] = v[:count]
            x = block.finish(x, attend(q, k, v, mask))
        tile.mask[where] = HIDDEN
        tile.mask[where, ..., :PROMPT] = mask[:count]
        tile.ends[where] = PROMPT
        for row, sample in zip(places, joining, strict=True):
            tile.samples[row] = sample

    def _step(self, tile: _Tile, busy: Sequence[tuple[int, Sample]]) -> Tensor:
        """Read one more token in each row and return the states that score the next: (B, C)."""
        table = _empty(self.tile, 1)
        for row, sample in busy:
            table[row, 0] = sample.draft.row()
        every = torch.arange(self.tile)
        tile.mask[every, 0, 0, tile.ends] = 0.0
        x = self.model.embed(torch.from_numpy(table), self.folded)  # (B, 1, C)
        for index, block in enumerate(self.model.layers()):
            q, k, v = block.project(x)
            tile.keys[index][every, :, tile.ends] = k[:, :, 0]
            tile.values[index][every, :, tile.ends] = v[:, :, 0]
            x = block.finish(x, attend(q, tile.keys[index], tile.values[index], tile.mask))
        tile.ends[[row for row, _ in busy]] += 1
        states: Tensor = self.model.norm(x)[:, 0]
        return states

    def _scores(self, states: Tensor, busy: Sequence[tuple[int, Sample]]) -> dict[tuple[int, int], Logs]:
        heads = {_head(sample) for _, sample in busy}
        values = self.tables[0]
        return {head: self.model.scores(states, values, *head).double().numpy() for head in heads}


def _empty(rows: int, columns: int) -> npt.NDArray[np.int64]:
    table = np.zeros((rows, columns, len(Column)), dtype=np.int64)
    table[..., [Column.SITE, Column.NEXT_SITE]] = NO_SITE
    return table


def _length(sample: Sample) -> int:
    """Length of the tile that is sure to hold the draft, from its formula alone."""
    atoms = sum(count for _, count in sample.draft.formula)
    needed = PROMPT + 1 + len(CELL) + 4 * atoms  # at most four tokens for an atom
    return next(length for length in LENGTHS if length >= needed)


def _head(sample: Sample) -> tuple[int, int]:
    """Which values compete for the next slot: where they start in the table of values, and how many."""
    slot = sample.draft.slot
    assert slot is not None
    if slot.role != Role.POSITION:
        return HEADS[slot.role]
    sites = site_slice(sample.draft.group)
    return SITE_AT + sites.start, sites.stop - sites.start


def _draw(sample: Sample, logits: Logs) -> None:
    """Fill the slot with a draw from the values that are allowed and accepted."""
    draft = sample.draft
    mask = draft.allowed()
    if mask is not None:
        logits = np.where(mask, logits, -np.inf)
    logs = logits - logits.max()
    logs -= np.log(np.exp(logs).sum())
    noise = -np.log(-np.log(sample.stream.random(len(logs)) + 1e-300) + 1e-300)
    # sorted by these keys, the first accepted value is a draw from the distribution over all accepted ones
    order = np.argsort(-(logs / max(sample.temperature, 1e-3) + noise), kind="stable")[:MOST_TRIES]
    order = order[np.isfinite(logs[order])]
    value = _first_accepted(draft, order)
    if value is None:
        slot = draft.slot
        sample.flaw = f"no value fits as {slot.role.name if slot else 'end'} of group {draft.group}"
        return
    sample.log_likelihood += float(logs[value])
    try:
        draft.fill(value)
    except DeadEnd as end:
        sample.flaw = str(end)


def _first_accepted(draft: Draft, order: npt.NDArray[np.int64]) -> int | None:
    for size, begin in ((1, 0), *((TRIES, i) for i in range(1, len(order), TRIES))):
        candidates = order[begin : begin + size]
        fits = draft.accepts(candidates) if len(candidates) else np.zeros(0, dtype=np.bool_)
        if fits.any():
            return int(candidates[fits.argmax()])
    return None
