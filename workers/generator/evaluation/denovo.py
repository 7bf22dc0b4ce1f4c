"""Crystals that the model proposes by itself: valid, unique, new, and how close to an energy minimum they are."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from workers.crystals import Crystal, merge_duplicates, shortest_distance
from workers.generator.evaluation.benchmarks import known
from workers.generator.evaluation.desk import Desk, Json, spread
from workers.generator.evaluation.matching import is_known
from workers.generator.evaluation.relaxed import relax, relaxation
from workers.generator.evaluation.shares import percent
from workers.generator.evaluation.trials import answered, from_json
from workers.generator.generators import Generator
from workers.generator.requests import CrystalRequest
from workers.seeds import derive_seed

CLOSEST, LEAST_VOLUME = 0.5, 0.1  # Å, Å³: the validity rule of CDVAE (Xie et al., ICLR 2022)


@dataclass(frozen=True, slots=True)
class Proposals:
    """How many crystals are asked for, and how many of them are relaxed for at most so many steps."""

    samples: int = 1000
    temperature: float = 0.8
    seed: int = 0
    max_atoms: int = 20
    relaxed: int = 100
    steps: int = 100
    fmax: float = 0.05  # eV/Å
    charge_balanced: bool = False


def denovo(generator: Generator, data: Path, asked: Proposals, desk: Desk, device: str) -> Json:
    """Shares in per cent of the crystals asked for; energies of a random part of those that are valid."""
    bounds = {"relaxed": asked.relaxed, "steps": asked.steps, "fmax": asked.fmax}
    request = {name: value for name, value in asdict(asked).items() if name not in bounds}
    header = {"model_id": generator.card.model_id, **request}
    questions = [(_request(asked, i),) for i in range(asked.samples)]
    lines = desk.completed("proposals", header, asked.samples, lambda start: answered(generator, questions[start:]))
    made = [from_json(line["answers"][0]).crystal for line in lines]
    valid = [crystal for crystal in made if crystal is not None and is_valid(crystal)]
    unique = [valid[i] for i in _firsts(valid, desk.processes)]
    new = [[not found for found in row] for row in _found(unique, data, desk.processes)]
    chosen = np.random.default_rng(asked.seed).permutation(len(valid))[: asked.relaxed]
    jobs = [(device, valid[i], asked.steps, asked.fmax) for i in sorted(chosen)]
    rows = desk.completed("relaxed", header | bounds, len(jobs), lambda start: _relaxed(jobs[start:], desk.processes))
    seconds = sum(line["seconds"] for line in lines)
    return {
        "model": generator.card.name,
        **header,
        "valid": percent(len(valid), asked.samples),
        "unique": percent(len(unique), asked.samples),
        "new_to_mp20_train": percent(sum(row[0] for row in new), asked.samples),
        "new_to_all_known": percent(sum(row[1] for row in new), asked.samples),
        "relaxation": {**bounds, **relaxation(rows)},
        "crystals_per_second": round(asked.samples / seconds, 1) if seconds else None,
    }


def is_valid(crystal: Crystal) -> bool:
    """Whether no two atoms are too close and there is a volume to speak of."""
    if not np.isfinite(crystal.lattice).all() or not crystal.volume > LEAST_VOLUME:
        return False
    return shortest_distance(crystal) >= CLOSEST


def _request(asked: Proposals, number: int) -> CrystalRequest:
    seed = derive_seed(asked.seed, "denovo", "", number)
    return CrystalRequest(
        None,
        seed,
        temperature=asked.temperature,
        max_atoms=asked.max_atoms,
        charge_balanced=asked.charge_balanced,
    )


def _firsts(crystals: Sequence[Crystal], processes: int) -> list[int]:
    """Numbers of the crystals that none before is the same as."""
    numbers: dict[str, list[int]] = {}
    for i, crystal in enumerate(crystals):
        numbers.setdefault(crystal.formula, []).append(i)
    groups = list(numbers.values())
    merged = spread(merge_duplicates, [[crystals[i] for i in group] for group in groups], processes)
    return sorted({group[j] for group, firsts in zip(groups, merged, strict=True) for j in firsts})


def _found(crystals: Sequence[Crystal], data: Path, processes: int) -> Iterator[tuple[bool, ...]]:
    """Whether each is a structure of MP-20's train split, and whether it is any known one."""
    tables = known(data, {crystal.formula for crystal in crystals})
    tasks = [(crystal, table.get(crystal.formula, [])) for table in tables for crystal in crystals]
    answers = list(spread(is_known, tasks, processes))
    return zip(answers[: len(crystals)], answers[len(crystals) :], strict=True)


def _relaxed(jobs: Sequence[tuple[str, Crystal, int, float]], processes: int) -> Iterator[Json]:
    return spread(relax, jobs, processes)
