"""Crystals a second on one thread: `python tests/benchmarks/bench_generator.py`."""

import time

import torch

from workers.cards import load_checkpoint
from workers.generator.crystal_generator import CrystalGenerator
from workers.generator.requests import CrystalRequest
from workers.seeds import derive_seed

FORMULAS = ("CsPbI3", "Cu2ZnSnS4", "BaZrS3", "AgBiS2", "CuInSe2", "Sb2Se3", "NaBiS2", "SrHfS3", "Cs2AgBiBr6", "ZnSnP2")


def main(count: int = 64) -> None:
    torch.set_num_threads(1)
    generator = CrystalGenerator(*load_checkpoint("crystal-generator"))
    requests = [CrystalRequest(f, derive_seed(0, "bench", f, i)) for f in FORMULAS for i in range(count)]
    generator.generate(requests[:: count // 8])  # works out the common space groups
    wall, cpu = time.perf_counter(), time.process_time()
    answers = generator.generate(requests)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    valid = sum(answer.crystal is not None for answer in answers)
    print(f"{len(answers)} samples, {valid} valid, {len(answers) / wall:.0f}/s, {len(answers) / cpu:.0f} a CPU second")


if __name__ == "__main__":
    main()
