"""Crystals per second on one thread, in tiles and one crystal a call."""

import time

import torch

from workers.cards import load_checkpoint
from workers.generator.crystal_generator import CrystalGenerator
from workers.generator.requests import CrystalRequest
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


def test_crystals_per_second_of_one_thread() -> None:
    torch.set_num_threads(1)
    generator = CrystalGenerator(*load_checkpoint("crystal-generator"))
    generator.generate(requested(8))  # works out the common space groups
    tiled, single = rate(generator, [requested(64)]), rate(generator, [[request] for request in requested(1)])
    print(f"\ncrystal generator: {tiled:.0f} crystals/s on one thread, {tiled / single:.0f} × one crystal a call")
