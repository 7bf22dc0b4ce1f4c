"""Writes crystals with a network, a tile of them at a time.

- Token rows in, next values out: a prompt is read once into the cache, each step adds a token and draws the next.
- A crystal depends on weights, request and seed alone: tiles have a fixed shape, and each draft draws from its own
  counter-based stream, so that its neighbours in the tile cannot change a bit of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ATTEMPTS = 8
WARMER = 0.15  # added to the temperature at each further attempt: what failed when cold would fail alike again
COLDEST = 1e-3
JOINING = 16  # rows that join a tile together
MOST_ROWS = 1 << 14  # more would fill any memory
HIDDEN = -1e9
TRIES = 8  # candidates checked at once
MOST_TRIES = 64

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Head = tuple[int, int]  # where the competing values start in the table of values, and how many there are
Room = tuple[int, int]  # slots for the prompt, slots for prompt and tokens


class DeadEnd(Exception):
    """Nothing may fill the next slot: {0}."""


class Draft(Protocol):
    """A sequence while it is written: what is asked for next and what may fill it. It knows the grammar."""

    @property
    def done(self) -> bool:
        """Whether nothing is asked for any more."""

    @property
    def room(self) -> Room:
        """A tile's shape that is sure to hold it; few different ones, so that tiles are full."""

    def prompt(self, conditioned: bool) -> list[list[int]]:
        """Rows to read before the first token, with what is wanted or without."""

    def row(self) -> list[int]:
        """The row that asks for the next value."""

    def head(self) -> Head:
        """Which values compete."""

    def allowed(self) -> Mask | None:
        """Which of them may be drawn; None for all."""

    def accepts(self, candidates: Ints) -> Mask:
        """Which of some allowed values would not end in a conflict that can be seen now."""

    def reach(self) -> int | None:
        """How many bins to either side still mean the same, for a number; None for a name."""

    def fill(self, value: int, offset: float) -> None:
        """Take a value, and for a number its offset in bins; raises DeadEnd where the draft cannot be finished."""


class Block(Protocol):
    """One layer of a network, cut in two where the cache comes in."""

    def project(self, x: Tensor, turn: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, T, C/H)."""

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The layer's output (B, T, C) from what attention found (B, H, T, C/H)."""


class Network(Protocol):
    """What the sampler needs of a decoder-only transformer; C is its width, H its heads, D its columns."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, heads, width."""

    @property
    def padding(self) -> Sequence[int]:
        """The row that stands where there is none: (D,)."""

    @property
    def sees_prompt_whole(self) -> bool:
        """Whether a prompt's rows see each other, or each only those before it."""

    def prepare(self) -> Any:
        """What is worked out once from the weights."""

    def embed(self, rows: Tensor, prepared: Any) -> tuple[Tensor, Tensor | None]:
        """Input vectors (B, T, C) of rows (B, T, D), and their rotation where positions are turned."""

    def layers(self) -> Sequence[Block]:
        """The blocks in order."""

    def close(self, x: Tensor) -> Tensor:
        """States that score the next value, (B, C)."""

    def scores(self, states: Tensor, prepared: Any, head: Head) -> Tensor:
        """Logits (B, size) of a head's values."""

    def offsets(self, states: Tensor, prepared: Any, values: Tensor) -> Tensor | None:
        """Sub-bin offsets (B,) of the drawn places (B,) in the table of values; None for a network without."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How values are drawn."""

    seed: int
    temperature: float
    top_p: float = 1.0
    guidance: float = 1.0


class Sample:
    """One sequence asked for: its draft, its own stream of random numbers, what the model thinks of it so far.

    Where a draft cannot be finished the sample begins again with its seed's next stream, a little warmer.
    """

    def __init__(self, begin: Callable[[], Draft], draw: Draw) -> None:
        self.begin, self.draw = begin, draw
        self.attempt = -1
        self.restart()

    def restart(self) -> None:
        self.attempt += 1
        self.draft = self.begin()
        self.stream = stream_of(self.draw.seed, self.attempt)
        self.temperature = max(self.draw.temperature + WARMER * self.attempt, COLDEST)
        self.log_likelihood = 0.0
        self.log_mass = 0.0
        self.flaw: str | None = None

    @property
    def done(self) -> bool:
        return self.flaw is not None or self.draft.done

    @property
    def rows(self) -> int:
        """Rows of a tile that it takes: guidance needs the draft without its conditions beside it."""
        return 1 if self.draw.guidance == 1.0 else 2


def stream_of(seed: int, attempt: int) -> np.random.Generator:
    """The counter-based stream of one attempt at one sample."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, attempt], dtype=np.uint64)))


class _Tile:
    """Rows of one fixed shape: who is in each, how far it is, and the keys and values of each block."""

    def __init__(self, network: Network, rows: int, room: Room, device: torch.device) -> None:
        layers, heads, width = network.shape
        self.prompt, length = room
        shape = (rows, heads, length, width // heads)
        self.samples: list[Sample | None] = [None] * rows
        self.rows: dict[int, tuple[int, ...]] = {}  # of each sample, by its first row
        self.every = torch.arange(rows, device=device)
        self.ends = torch.full((rows,), self.prompt, device=device)
        self.mask = torch.full((rows, 1, 1, length), HIDDEN, device=device)
        self.keys = [torch.zeros(shape, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, device=device) for _ in range(layers)]
        self.asking = torch.tensor(network.padding, device=device).repeat(rows, 1, 1)  # the rows of one step
        self.shown = torch.zeros((), device=device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.states: Tensor | None = None  # what the graph leaves

    def clear(self) -> None:
        """Give back all rows; what they hold is hidden until it is written over."""
        self.samples = [None] * len(self.samples)
        self.rows.clear()
        self.ends.fill_(self.prompt)

    def free(self) -> list[int]:
        return [row for row, sample in enumerate(self.samples) if sample is None]

    def release(self) -> None:
        """Give back the rows of samples that are done."""
        for first, rows in list(self.rows.items()):
            sample = self.samples[first]
            if sample is None or sample.done:
                self.leave(first, rows)

    def leave(self, first: int, rows: tuple[int, ...]) -> None:
        del self.rows[first]
        for row in rows:
            self.samples[row] = None

    def busy(self) -> list[tuple[int, Sample]]:
        return [(first, sample) for first in sorted(self.rows) if (sample := self.samples[first]) is not None]


class Sampler:
    """A network prepared for writing, in tiles of `tile` rows."""

    def __init__(self, network: Network, tile: int, device: str = "cpu") -> None:
        if not JOINING <= tile <= MOST_ROWS:
            raise ValueError(f"{tile=}: a tile has {JOINING} to {MOST_ROWS} rows")
        layers, heads, width = network.shape
        if min(layers, heads, width) < 1 or width % heads:
            raise ValueError(f"{layers} layers of {heads} heads do not share a width of {width}")
        self.network = network
        self.tile = tile
        self.device = torch.device(device)
        self.tiles: dict[Room, _Tile] = {}
        with torch.inference_mode():
            self.prepared = network.prepare()

    def run(self, samples: Sequence[Sample]) -> None:
        """Write all drafts to their end, or to a flaw; when some are finished, others take their rows.

        They begin in the order given: with long ones first few rows are idle at the end.
        """
        rooms = [sample.draft.room for sample in samples]
        for room in sorted(set(rooms)):
            waiting = [sample for sample, own in zip(samples, rooms, strict=True) if own == room and not sample.done]
            if waiting:
                with torch.inference_mode():
                    self._run_tile(waiting[::-1], self._empty_tile(room))

    def _empty_tile(self, room: Room) -> _Tile:
        """A tile of this shape, the one before where there is one: to capture its graph takes as long as many steps."""
        if room not in self.tiles:
            if self.device.type == "cpu":
                self.tiles.clear()  # nothing was captured, and memory is for one
            self.tiles[room] = _Tile(self.network, self.tile, room, self.device)
        self.tiles[room].clear()
        return self.tiles[room]

    def _run_tile(self, waiting: list[Sample], tile: _Tile) -> None:
        while True:
            tile.release()
            while waiting and len(tile.free()) >= JOINING:
                self._join(tile, list(_joining(waiting)))
            busy = tile.busy()
            if not busy:
                return
            states = self._step(tile, busy)
            for first, sample in self._draw(tile, busy, states):
                if sample.attempt + 1 < ATTEMPTS:
                    tile.leave(first, tile.rows[first])
                    sample.restart()
                    waiting.append(sample)

    def _join(self, tile: _Tile, joining: Sequence[Sample]) -> None:
        """Read the prompts of new drafts into the cache of their rows."""
        table = self._empty(JOINING, tile.prompt)
        seen = np.zeros((JOINING, tile.prompt), dtype=np.bool_)
        free = tile.free()
        places: list[int] = []
        for sample in joining:
            rows = tuple(free[len(places) + i] for i in range(sample.rows))
            for guided in range(sample.rows):
                prompt = sample.draft.prompt(conditioned=guided == 0)
                if prompt:
                    table[len(places), : len(prompt)] = prompt
                    seen[len(places), : len(prompt)] = True
                tile.samples[free[len(places)]] = sample
                places.append(free[len(places)])
            tile.rows[rows[0]] = rows
        self._read(tile, torch.tensor(places, device=self.device), table, seen)

    def _read(self, tile: _Tile, where: Tensor, table: Ints, seen: Mask) -> None:
        count, slots = len(where), tile.prompt
        shown = torch.from_numpy(seen).to(self.device)
        hidden = torch.zeros(JOINING, 1, 1, slots, device=self.device).masked_fill(~shown[:, None, None], HIDDEN)
        mask = hidden.expand(-1, -1, slots, -1)
        if not self.network.sees_prompt_whole:
            later = torch.ones(slots, slots, dtype=torch.bool, device=self.device).triu(1)
            mask = mask.masked_fill(later, HIDDEN)
        x, turn = self.network.embed(torch.from_numpy(table).to(self.device), self.prepared)  # (JOINING, P, C)
        for index, block in enumerate(self.network.layers()):
            q, k, v = block.project(x, turn)
            tile.keys[index][where, :, :slots] = k[:count]
            tile.values[index][where, :, :slots] = v[:count]
            x = block.finish(x, attend(q, k, v, mask))
        tile.mask[where] = HIDDEN
        tile.mask[where, ..., :slots] = hidden[:count]
        tile.ends[where] = slots

    def _step(self, tile: _Tile, busy: Sequence[tuple[int, Sample]]) -> Tensor:
        """Read one more token in each row and return the states that score the next: (B, C)."""
        table = self._empty(self.tile, 1)
        rows = [(row, sample.draft.row()) for first, sample in busy for row in tile.rows[first]]
        table[[row for row, _ in rows], 0] = [asked for _, asked in rows]
        tile.asking.copy_(torch.from_numpy(table))
        states = self._replay(tile) if self.device.type == "cuda" else self._advance(tile)
        tile.ends[[row for row, _ in rows]] += 1
        return states

    def _advance(self, tile: _Tile) -> Tensor:
        every, zeros = tile.every, torch.zeros_like(tile.every)
        tile.mask.index_put_((every, zeros, zeros, tile.ends), tile.shown)
        x, turn = self.network.embed(tile.asking, self.prepared)  # (B, 1, C)
        for index, block in enumerate(self.network.layers()):
            q, k, v = block.project(x, turn)
            tile.keys[index][every, :, tile.ends] = k[:, :, 0]
            tile.values[index][every, :, tile.ends] = v[:, :, 0]
            x = block.finish(x, attend(q, tile.keys[index], tile.values[index], tile.mask))
        return self.network.close(x[:, 0])

    def _replay(self, tile: _Tile) -> Tensor:
        """The same as one launch: every shape is fixed and every buffer stays where it is, as CUDA graphs need."""
        if tile.graph is None:
            aside = torch.cuda.Stream(self.device)
            aside.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(aside):
                self._advance(tile)  # writes the same keys to the same places again
            torch.cuda.current_stream(self.device).wait_stream(aside)
            tile.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(tile.graph):
                tile.states = self._advance(tile)
        tile.graph.replay()
        assert tile.states is not None
        return tile.states

    def _draw(self, tile: _Tile, busy: Sequence[tuple[int, Sample]], states: Tensor) -> Iterator[tuple[int, Sample]]:
        """Fill every draft's slot with a draw; yields those that came to a flaw."""
        values = self._values(tile, busy, states)
        places = np.zeros(self.tile, dtype=np.int64)
        for first, sample in busy:
            value = values[first]
            places[first] = 0 if value is None else sample.draft.head()[0] + value
        offsets = self.network.offsets(states, self.prepared, torch.from_numpy(places).to(self.device))
        fine = np.zeros(self.tile) if offsets is None else offsets.cpu().double().numpy()
        for first, sample in busy:
            value = values[first]
            if value is not None:
                try:
                    sample.draft.fill(value, float(fine[first]))
                except DeadEnd as end:
                    sample.flaw = str(end)
            if sample.flaw is not None:
                yield first, sample

    def _values(self, tile: _Tile, busy: Sequence[tuple[int, Sample]], states: Tensor) -> dict[int, int | None]:
        """A draw for each sample's slot by its first row; none where nothing fits."""
        heads: dict[Head, list[tuple[int, Sample]]] = {}
        for first, sample in busy:
            heads.setdefault(sample.draft.head(), []).append((first, sample))
        found: dict[int, int | None] = {}
        for head, asking in heads.items():
            logits = self.network.scores(states, self.prepared, head).cpu().double().numpy()
            values = _choose([sample for _, sample in asking], _guided(tile, asking, logits))
            found |= {first: value for (first, _), value in zip(asking, values, strict=True)}
        return found

    def _empty(self, rows: int, columns: int) -> Ints:
        return np.tile(np.asarray(self.network.padding, dtype=np.int64), (rows, columns, 1))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention spelt out: at these short lengths a third faster on a CPU than the fused kernel. (B, H, T, C/H)."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + mask.to(q.dtype)
    return torch.softmax(scores, dim=-1).to(v.dtype) @ v


def _joining(waiting: list[Sample]) -> Iterator[Sample]:
    """Samples from the end of the queue that fit into one reading of prompts."""
    left = JOINING
    while waiting and waiting[-1].rows <= left:
        left -= waiting[-1].rows
        yield waiting.pop()


def _guided(tile: _Tile, asking: Sequence[tuple[int, Sample]], logits: Floats) -> Floats:
    """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): away from what comes without conditions."""
    found = logits[[first for first, _ in asking]]
    for i, (first, sample) in enumerate(asking):
        if len(tile.rows[first]) > 1:
            without = logits[tile.rows[first][1]]
            found[i] = without + sample.draw.guidance * (found[i] - without)
    return found


def _choose(samples: Sequence[Sample], logits: Floats) -> list[int | None]:
    """For each sample a draw from the values that are allowed and accepted, logits (n, size); none leaves a flaw."""
    for row, sample in zip(logits, samples, strict=True):
        if (mask := sample.draft.allowed()) is not None:
            row[~mask] = -np.inf
    logs = logits - logits.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    keys = logs / np.array([[sample.temperature] for sample in samples])
    for i, sample in enumerate(samples):
        if sample.draw.top_p < 1.0:
            keys[i] = _nucleus(keys[i], sample.draw.top_p)
    uniform = np.stack([sample.stream.random(logs.shape[1]) for sample in samples])
    keys -= np.log(-np.log(uniform + 1e-300) + 1e-300)
    values = [_first_accepted(sample, row) for sample, row in zip(samples, keys, strict=True)]
    _weigh(samples, logs, values)
    return values


def _nucleus(logs: Floats, top_p: float) -> Floats:
    """Logits without those beyond the most probable values that hold this share of probability."""
    order = np.argsort(-logs, kind="stable")
    shares = np.exp(logs[order] - logs[order[0]])
    before = np.cumsum(shares) - shares
    kept = logs.copy()
    kept[order[before > top_p * shares.sum()]] = -np.inf
    return kept


def _first_accepted(sample: Sample, keys: Floats) -> int | None:
    """Sorted by these keys, the first accepted value is a draw from the distribution over all accepted ones.

    Each attempt looks further down than the one before; where nothing is accepted a flaw is left.
    """
    accepts, best = sample.draft.accepts, int(keys.argmax())
    if np.isfinite(keys[best]):
        if accepts(np.array([best]))[0]:
            return best
        order = np.argsort(-keys, kind="stable")[1 : MOST_TRIES << 2 * sample.attempt]
        order = order[np.isfinite(keys[order])]
        begin, count = 0, TRIES
        while begin < len(order):
            candidates = order[begin : begin + count]
            fits = accepts(candidates)
            if fits.any():
                return int(candidates[fits.argmax()])
            begin, count = begin + count, 2 * count
    sample.flaw = "no value fits into what is there"
    return None


def _weigh(samples: Sequence[Sample], logs: Floats, values: Sequence[int | None]) -> None:
    """Add what the model thinks of the values drawn, log-probabilities (n, size); bins of a number wrap around."""
    reaches: dict[int, list[int]] = {}
    for i, (sample, value) in enumerate(zip(samples, values, strict=True)):
        if value is not None:
            sample.log_likelihood += float(logs[i, value])
            reaches.setdefault(sample.draft.reach() or 0, []).append(i)
    for reach, rows in reaches.items():
        drawn = np.array([values[i] for i in rows])
        near = (drawn[:, None] + np.arange(-reach, reach + 1)) % logs.shape[1]
        masses = np.log(np.exp(logs[np.array(rows)[:, None], near]).sum(axis=1)) if reach else logs[rows, drawn]
        for i, mass in zip(rows, masses.tolist(), strict=True):
            samples[i].log_mass += mass
