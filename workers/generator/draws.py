"""Draws from a network's logits: never what is masked or conflicts, and each with its likelihood."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # whose module imports this one
    from workers.generator.sampler import Sample

TRIES = 8  # candidates checked at once
MOST_TRIES = 64
TINY = 1e-300

Floats = npt.NDArray[np.float64]


def choose(samples: Sequence["Sample"], logits: Floats) -> list[int | None]:
    """For each sample a draw from the values that are allowed and accepted; none leaves a flaw.

    Logits (n, size) are written over.
    """
    for row, sample in zip(logits, samples, strict=True):
        if (mask := sample.draft.allowed()) is not None:
            row[~mask] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    logits -= np.log(shares.sum(axis=1, keepdims=True))
    keys = np.divide(logits, np.array([[sample.temperature] for sample in samples]), out=shares)
    for i, sample in enumerate(samples):
        if sample.draw.top_p < 1.0:
            keys[i] = _nucleus(keys[i], sample.draw.top_p)
    keys -= _noise(samples, keys.shape[1])
    best = keys.argmax(axis=1).tolist()
    values = [_first_accepted(*asked) for asked in zip(samples, keys, best, strict=True)]
    _weigh(samples, logits, values)
    return values


def _noise(samples: Sequence["Sample"], size: int) -> Floats:
    """Negative numbers of Gumbel's distribution from each sample's own stream: (n, size)."""
    found = np.empty((len(samples), size))
    for row, sample in zip(found, samples, strict=True):
        sample.stream.random(out=row)
    found += TINY
    np.log(found, out=found)
    np.negative(found, out=found)
    found += TINY
    return np.log(found, out=found)


def _nucleus(logs: Floats, top_p: float) -> Floats:
    """Logits without those beyond the most probable values that hold this share of probability."""
    order = np.argsort(-logs, kind="stable")
    shares = np.exp(logs[order] - logs[order[0]])
    before = np.cumsum(shares) - shares
    kept = logs.copy()
    kept[order[before > top_p * shares.sum()]] = -np.inf
    return kept


def _first_accepted(sample: "Sample", keys: Floats, best: int) -> int | None:
    """Sorted by these keys, the first accepted value is a draw from the distribution over all accepted ones.

    Each attempt looks further down than the one before; where nothing is accepted a flaw is left.
    """
    if math.isfinite(keys[best]):
        accepts = sample.draft.accepts
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


def _weigh(samples: Sequence["Sample"], logs: Floats, values: Sequence[int | None]) -> None:
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
