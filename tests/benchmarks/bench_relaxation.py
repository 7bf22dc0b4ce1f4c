"""Energies and relaxations per second on one thread, beside CHGNet's own optimizer."""

import time
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from chgnet.model import StructOptimizer
from chgnet.model.dynamics import TrajectoryObserver

from workers.crystals import Crystal, from_arrays, matrix, to_structure
from workers.potentials import Potential

LARGE, SMALL = ("Ca", "Sr", "Ba", "Pb"), ("Ti", "Zr", "Sn", "Hf")
STEPS, FORCE = 30, 0.05  # eV/Å


def distorted(count: int, seed: int) -> list[Crystal]:
    """Perovskites of ten atoms with strained cells and displaced atoms, as a generator might write them."""
    rng = np.random.default_rng(seed)
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    coords = np.array([(x, y, (z + layer) / 2) for layer in (0, 1) for x, y, z in sites])
    crystals = []
    for a, b in zip(rng.choice(LARGE, count).tolist(), rng.choice(SMALL, count).tolist(), strict=True):
        edges = 4.1 * (1 + rng.normal(0, 0.04, 3)) * (1, 1, 2)
        crystal = from_arrays((*edges, *(90 + rng.normal(0, 2, 3))), (a, b, "O", "O", "O") * 2, coords)
        moved = coords + rng.normal(0, 0.12, (10, 3)) @ np.linalg.inv(matrix(crystal))
        crystals.append(from_arrays(crystal.lattice, crystal.species, moved))
    return crystals


def timed(name: str, crystals: list[Crystal], work: Callable[[list[Crystal]], list[float]]) -> float:
    """Run the work, whose answer is energies in eV/atom, print what it took and return crystals per second."""
    wall, cpu = time.perf_counter(), time.process_time()
    energies = work(crystals)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rates = f"{len(crystals) / wall:.2f}/s, {len(crystals) / cpu:.2f} a CPU second"
    print(f"{name}: {rates}, mean energy {np.mean(energies):.4f} eV/atom")
    return len(crystals) / wall


def by_optimizer(crystals: list[Crystal]) -> list[float]:
    """Final energies of CHGNet's own optimizer, eV/atom."""
    optimizer, energies = StructOptimizer(use_device="cpu"), []
    for crystal in crystals:
        answer = optimizer.relax(to_structure(crystal), fmax=FORCE, steps=STEPS, verbose=False)
        energies.append(cast(TrajectoryObserver, answer["trajectory"]).energies[-1] / len(crystal.species))
    return energies


@pytest.mark.filterwarnings("ignore")  # the other optimizer's
def test_relaxations_per_second_of_one_thread() -> None:
    torch.set_num_threads(1)
    crystals, potential = distorted(12, 0), Potential("cpu")
    potential.energies(crystals[:2])
    timed("\nenergies", crystals * 4, potential.energies)
    own = timed("relaxations", crystals, lambda some: [r.energy for r in potential.relax(some, STEPS, FORCE)])
    peer = timed("CHGNet's StructOptimizer", crystals, by_optimizer)
    print(f"relaxations: {own / peer:.1f} × CHGNet's StructOptimizer")
