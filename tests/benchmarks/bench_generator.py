"""Crystals per second of the symmetry grammar on one thread: in tiles, one a call, and without a cache."""

import time
from dataclasses import replace

import numpy as np
import torch

from workers.cards import load_checkpoint
from workers.generator.requests import CrystalRequest
from workers.generator.sampler import Sample
from workers.generator.symmetry.generator import CrystalGenerator
from workers.seeds import derive_seed

FORMULAS = ("CsPbI3", "Cu2ZnSnS4", "BaZrS3", "AgBiS2", "CuInSe2", "Sb2Se3", "NaBiS2", "SrHfS3", "Cs2AgBiBr6", "ZnSnP2")


def requested(count: int) -> list[CrystalRequest]:
    """So many samples of each formula."""
    return [CrystalRequest(f, derive_seed(0, "bench", f, i)) for f in FORMULAS for i in range(count)]


def rate(generator: CrystalGenerator, batches: list[list[CrystalRequest]]) -> float:
    """Crystals per second."""
    began = time.perf_counter()
    for batch in batches:
        generator.generate(batch)
    return sum(map(len, batches)) / (time.perf_counter() - began)


def uncached(generator: CrystalGenerator, request: CrystalRequest) -> None:
    """One crystal, the whole prefix read again for each token."""
    sample = generator._begin(request)
    assert isinstance(sample, Sample)
    network, prepared = generator.sampler.network, generator.sampler.prepared
    rows = sample.draft.prompt(conditioned=True)
    while not sample.done:
        rows.append(sample.draft.row())
        with torch.inference_mode():
            states, _ = network(torch.tensor(rows)[None])  # type: ignore[operator]
            logits = network.scores(states[:, -1], prepared, sample.draft.head())[0]
        allowed = sample.draft.allowed()
        order = torch.multinomial(torch.softmax(logits, 0) * torch.from_numpy(_mask(allowed, len(logits))), 1)
        candidates = np.concatenate([order.numpy(), sample.stream.permutation(len(logits))])
        if allowed is not None:
            candidates = candidates[allowed[candidates]]
        fits = sample.draft.accepts(candidates[:64])
        if not fits.any():
            return
        sample.draft.fill(int(candidates[fits.argmax()]), 0.0)


def _mask(allowed: np.ndarray | None, size: int) -> np.ndarray:
    return np.ones(size, dtype=np.float32) if allowed is None else allowed.astype(np.float32)


def test_crystals_per_second_of_one_thread() -> None:
    torch.set_num_threads(1)
    generator = CrystalGenerator(*load_checkpoint("crystal-generator"))
    generator.generate(requested(8))  # works out the common space groups
    tiled, single = rate(generator, [requested(64)]), rate(generator, [[request] for request in requested(1)])
    narrow = CrystalGenerator(replace(generator.card, tile=1), load_checkpoint("crystal-generator")[1])
    began = time.perf_counter()
    for request in requested(1):
        uncached(narrow, request)
    plain = len(requested(1)) / (time.perf_counter() - began)
    print(f"\ncrystal generator: {tiled:.0f} crystals/s on one thread")
    print(f"  {tiled / single:.0f} × one crystal a call, {tiled / plain:.0f} × one at a time without a cache")
