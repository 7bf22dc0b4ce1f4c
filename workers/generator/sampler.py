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

from workers.generator.draws import choose

ATTEMPTS = 8
WARMER = 0.15  # added to the temperature at each further attempt: what failed when cold would fail alike again
COLDEST = 1e-3
JOINING = 16  # rows that join a tile together
MOST_ROWS = 1 << 14  # more would fill any memory
TOGETHER = 64  # rows of a tile whose rows begin together: more are no faster, and fewer of them are idle at the end
HIDDEN = -1e9

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Head = tuple[int, int]  # where the competing values start in the table of values, and how many there are
Room = tuple[int, int]  # slots for the prompt, slots for prompt and tokens
Shape = tuple[Room, bool]  # a tile's room, and whether its rows begin together


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

    @property
    def steps(self) -> int | None:
        """How many values it will ask for, where that is certain from the start."""

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
    """Rows of one fixed shape: who is in each, how far it is, and the keys and values of each block.

    Rows that begin together are always equally far, so that none of them looks at slots where nothing is yet.
    """

    def __init__(self, network: Network, rows: int, room: Room, device: torch.device, together: bool = False) -> None:
        layers, heads, width = network.shape
        self.prompt, length = room
        self.together = together
        self.end = self.prompt  # of rows that began together
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
        self.end = self.prompt

    def joinable(self) -> bool:
        """Whether there is room for others now."""
        if self.together and self.rows and self.end > self.prompt:
            return False
        return len(self.free()) >= JOINING

    def free(self) -> list[int]:
        return [row for row, sample in enumerate(self.samples) if sample is None]

    def release(self) -> None:
        """Give back the rows of samples that are done."""
        for first, rows in list(self.rows.items()):
            sample = self.samples[first]
            if sample is None or sample.done:
                self.leave(first, rows)
        if not self.rows:
            self.end = self.prompt

    def leave(self, first: int, rows: tuple[int, ...]) -> None:
        del self.rows[first]
        for row in rows:
            self.samples[row] = None

    def show(self) -> None:
        """Let each row see the slot that this step fills."""
        if not self.together:
            zeros = torch.zeros_like(self.every)
            self.mask.index_put_((self.every, zeros, zeros, self.ends), self.shown)

    def put(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keep a step's keys and values (B, H, 1, C/H); returns all that may be seen, and the mask."""
        keys, values = self.keys[layer], self.values[layer]
        if self.together:
            keys[:, :, self.end], values[:, :, self.end] = k[:, :, 0], v[:, :, 0]
            seen = self.end + 1
            return keys[:, :, :seen], values[:, :, :seen], self.mask[..., :seen]
        keys[self.every, :, self.ends], values[self.every, :, self.ends] = k[:, :, 0], v[:, :, 0]
        return keys, values, self.mask

    def go_on(self, rows: Sequence[int]) -> None:
        """Their slots are filled."""
        self.end += 1
        if not self.together:
            self.ends[rows] += 1

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
        self.tiles: dict[Shape, _Tile] = {}
        with torch.inference_mode():
            self.prepared = network.prepare()

    def run(self, samples: Sequence[Sample]) -> None:
        """Write all drafts to their end, or to a flaw; when some are finished, others take their rows.

        They begin in the order given: with long ones first few rows are idle at the end. Where all know how long they
        will be they begin together, the longest first, and others follow when all of them are finished.
        """
        shapes = [self._shape(sample) for sample in samples]
        for shape in sorted(set(shapes)):
            waiting = [sample for sample, own in zip(samples, shapes, strict=True) if own == shape and not sample.done]
            if waiting:
                last_first = sorted(waiting, key=lambda sample: sample.draft.steps or 0, reverse=True)[::-1]
                with torch.inference_mode():
                    self._run_tile(last_first, self._empty_tile(shape))

    def _shape(self, sample: Sample) -> Shape:
        """Static shapes, which a graph needs, are for rows that begin whenever there is room."""
        return sample.draft.room, self.device.type == "cpu" and sample.draft.steps is not None

    def _empty_tile(self, shape: Shape) -> _Tile:
        """A tile of this shape, the one before where there is one: to capture its graph takes as long as many steps."""
        if shape not in self.tiles:
            if self.device.type == "cpu":
                self.tiles.clear()  # nothing was captured, and memory is for one
            room, together = shape
            rows = min(self.tile, TOGETHER) if together else self.tile
            self.tiles[shape] = _Tile(self.network, rows, room, self.device, together)
        self.tiles[shape].clear()
        return self.tiles[shape]

    def _run_tile(self, waiting: list[Sample], tile: _Tile) -> None:
        while True:
            tile.release()
            while waiting and tile.joinable():
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
        tile.mask[where] = 0.0 if tile.together else HIDDEN
        tile.mask[where, ..., :slots] = hidden[:count]
        tile.ends[where] = slots

    def _step(self, tile: _Tile, busy: Sequence[tuple[int, Sample]]) -> Tensor:
        """Read one more token in each row and return the states that score the next: (B, C)."""
        table = self._empty(len(tile.samples), 1)
        rows = [(row, sample.draft.row()) for first, sample in busy for row in tile.rows[first]]
        table[[row for row, _ in rows], 0] = [asked for _, asked in rows]
        tile.asking.copy_(torch.from_numpy(table))
        states = self._replay(tile) if self.device.type == "cuda" else self._advance(tile)
        tile.go_on([row for row, _ in rows])
        return states

    def _advance(self, tile: _Tile) -> Tensor:
        tile.show()
        x, turn = self.network.embed(tile.asking, self.prepared)  # (B, 1, C)
        for index, block in enumerate(self.network.layers()):
            q, k, v = block.project(x, turn)
            x = block.finish(x, attend(q, *tile.put(index, k, v)))
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
        places = np.zeros(len(tile.samples), dtype=np.int64)
        for first, (start, value) in values.items():
            places[first] = 0 if value is None else start + value
        offsets = self.network.offsets(states, self.prepared, torch.from_numpy(places).to(self.device))
        fine = np.zeros(len(tile.samples)) if offsets is None else offsets.cpu().double().numpy()
        for first, sample in busy:
            value = values[first][1]
            if value is not None:
                try:
                    sample.draft.fill(value, float(fine[first]))
                except DeadEnd as end:
                    sample.flaw = str(end)
            if sample.flaw is not None:
                yield first, sample

    def _values(
        self, tile: _Tile, busy: Sequence[tuple[int, Sample]], states: Tensor
    ) -> dict[int, tuple[int, int | None]]:
        """By its first row a draw for each sample's slot, none where nothing fits, and where its head starts."""
        heads: dict[Head, list[tuple[int, Sample]]] = {}
        for first, sample in busy:
            heads.setdefault(sample.draft.head(), []).append((first, sample))
        found: dict[int, tuple[int, int | None]] = {}
        for head, asking in heads.items():
            logits = self.network.scores(states, self.prepared, head).cpu().double().numpy()
            values = choose([sample for _, sample in asking], _guided(tile, asking, logits))
            found |= {first: (head[0], value) for (first, _), value in zip(asking, values, strict=True)}
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
