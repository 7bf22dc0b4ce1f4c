"""Crystals per second of the atom-by-atom grammar on two cores, beside a loop as Materium released it.

That loop writes one crystal at a time, reads the whole prefix again for each token, and takes each token off the device
before the next; it keeps no cache and looks at no distances. Its weights are the same, in single precision as there.
What is measured on random weights has Materium's own codec with angles that always close, and atoms of no size: random
ones lie anywhere, and the loop would keep what we refuse. The loop reads a token once; Materium's command line does so
twice, with and without conditions. All runs are whole: every crystal is written to its end. On a machine with other
work the rates by processor time say more; they give the loop a second core for nothing.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from workers.cards import Card
from workers.generator.materium import clearance
from workers.generator.materium.dataset import species_table
from workers.generator.materium.draft import Draft
from workers.generator.materium.generator import MateriumGenerator
from workers.generator.materium.network import SIZES, MateriumModel, Tables, quickened
from workers.generator.materium.tokens import ELEMENTS, shared_vocabulary
from workers.generator.requests import CrystalRequest
from workers.generator.sampler import Sample, Sampler

CORES = 2
TILE = 64  # as the shipped model has
RANGES = {"a": (2.0, 10.0), "b": (2.0, 12.5), "c": (2.0, 20.0)}
RANGES |= dict.fromkeys(("alpha", "beta", "gamma"), (75.0, 105.0))
# Cells as large as known ones are: 2 to 20 atoms, 10 on average.
CELLS = (("NaCl", 1), ("CuAu3", 1), ("SrTiO3", 1), ("TiO2", 2), ("CuFeS2", 2), ("K2NaAlF6", 1), ("MgSiO3", 2))
CELLS += (("Fe2O3", 2), ("LiFePO4", 2), ("CaTiO3", 4))
LARGEST = (("CaTiO3", 4), ("K2NaAlF6", 2))
KINDS = {"mixed": (CELLS, 1280), "largest": (LARGEST, 512)}  # cells, and how many of them each core writes


@cache
def generator(size: str, tile: int = TILE) -> MateriumGenerator:
    """Random weights of a size, those of the blocks in halves as in all models that are trained here."""
    torch.manual_seed(0)
    model = MateriumModel(SIZES[size], shared_vocabulary(species_table(), 1024, RANGES))
    arrays = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    layout = {"order": "high", "most_atoms": 20, "original": True, "bins": 1024, "ranges": RANGES}
    card = Card("random", "materium-generator", "", {"network": asdict(SIZES[size]), "layout": layout}, tile)
    made = MateriumGenerator(card, {**arrays, "species": species_table(), "radii": np.zeros(ELEMENTS)})
    made.sampler = Sampler(quickened(model.eval()), tile)
    clearance.FLOOR = 0.0
    return made


def samples(made: MateriumGenerator, cells: Sequence[tuple[str, int]], count: int, seed: int = 0) -> list[Sample]:
    asked = [CrystalRequest(f, seed + i, units=n, temperature=1.0) for i in range(count) for f, n in cells]
    begun = [made._begin(request) for request in asked]
    return [sample for sample in begun if isinstance(sample, Sample)]


@dataclass(frozen=True, slots=True)
class Rate:
    """Crystals finished, the seconds that took, and the seconds of one processor."""

    crystals: int
    seconds: float
    spent: float

    def __str__(self) -> str:
        return f"{self.crystals} crystals, {self.crystals / self.seconds:.3g}/s"


def sampled(size: str, name: str, seed: int) -> str:
    """Crystals finished by the sampler, begun when a line comes in, and the seconds of its processor."""
    torch.set_num_threads(1)
    cells, count = KINDS[name]
    made = generator(size)
    made.sampler.run(samples(made, CELLS[:1], 1))
    chosen = samples(made, cells, count // len(cells), seed)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.process_time()
    made.sampler.run(chosen)
    return f"{sum(sample.flaw is None for sample in chosen)} {time.process_time() - began}"


@torch.no_grad()
def as_released(network: MateriumModel, prepared: Tables, draft: Draft, top_p: float = 0.99) -> None:
    """One crystal, one token after the other, the whole prefix again each time."""
    rows = draft.prompt(conditioned=True)
    while not draft.done:
        rows.append(draft.row())
        x, turn = network.embed(torch.tensor([rows]), prepared)
        for block in network.layers():
            x = block(x, turn, None)
        logits = network.scores(network.close(x[:, -1]), prepared, (0, network.vocabulary.size))
        start, count = draft.head()
        open_to = torch.zeros(logits.shape[1], dtype=torch.bool)
        allowed = draft.allowed()
        open_to[start : start + count] = True if allowed is None else torch.from_numpy(allowed)
        shares, order = torch.softmax(logits.masked_fill(~open_to, -torch.inf), dim=-1).sort(descending=True)
        shares = shares.masked_fill(shares.cumsum(-1) - shares > top_p, 0.0)
        draft.fill(int(order[0, torch.multinomial(shares, 1)[0]].item()) - start, 0.0)


def released(size: str, cells: Sequence[tuple[str, int]], threads: int) -> Rate:
    """The loop, its matrix products on so many cores."""
    made = generator(size)
    torch.manual_seed(0)
    network = MateriumModel(SIZES[size], made.book.vocabulary).eval()
    torch.set_num_threads(threads)
    with torch.no_grad():
        prepared = network.prepare()
    drafts = [sample.draft for sample in samples(made, cells, 1)]
    began, spent = time.perf_counter(), time.process_time()
    for draft in drafts:
        as_released(network, prepared, draft)  # type: ignore[arg-type]
    found = Rate(len(drafts), time.perf_counter() - began, time.process_time() - spent)
    torch.set_num_threads(1)
    return found


def begun(*arguments: object) -> subprocess.Popen[str]:
    """This file in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    folder = Path(__file__).parents[2]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder)


def written(size: str, name: str) -> Rate:
    """The sampler in one process on each core."""
    running = [begun("sampled", size, name, 10_000 * (core + 1)) for core in range(CORES)]
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    began = time.perf_counter()
    finished, spent = zip(*(process.communicate()[0].split() for process in running), strict=True)
    return Rate(sum(map(int, finished)), time.perf_counter() - began, sum(map(float, spent)))


def peak(size: str, flying: int) -> float:
    """GiB that a process takes which has so many sequences of up to 20 atoms in flight, of formulas that are open."""
    torch.set_num_threads(1)
    made = generator(size, flying)
    begun = [made._begin(CrystalRequest(None, seed, max_atoms=20)) for seed in range(flying)]
    made.sampler.run([sample for sample in begun if isinstance(sample, Sample)])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", KINDS)
def test_crystals_per_second_beside_the_released_loop(size: str, name: str) -> None:
    ours, theirs = written(size, name), released(size, KINDS[name][0], CORES)
    single = released(size, KINDS[name][0], 1)
    ratio = ours.crystals / ours.seconds / (theirs.crystals / theirs.seconds)
    by_time = ours.crystals / ours.spent / (single.crystals / single.spent)
    print(f"\n{size}, {name}: {CORES} processes of one thread: {ours}; as released, {CORES} threads: {theirs}")
    print(f"  {ratio:.0f} × as released; by processor time, the loop on one thread, {by_time:.0f} ×")


@pytest.mark.timeout(1800)
def test_memory_of_a_thousand_sequences_in_flight() -> None:
    found = begun("peak", "base", 1000).communicate()[0]
    print(f"\nbase, 1000 sequences of up to 20 atoms in flight: {float(found):.2f} GiB")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    what, size_, *rest = sys.argv[1:]
    print(sampled(size_, rest[0], int(rest[1])) if what == "sampled" else peak(size_, int(rest[0])))
