"""How often the generator finds the known structure of a held-out compound."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Element, Structure

from workers.compositions import from_amounts
from workers.crystals import Crystal, flaw, from_arrays, space_group, to_structure
from workers.generator.crystal_generator import CrystalGenerator
from workers.generator.requests import CrystalRequest, Generated
from workers.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class Target:
    """A held-out structure, its formula and the formula units in its cell."""

    crystal: Crystal
    formula: str
    units: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the samples for one target came to; rms distances are in (volume / atom)^(1/3)."""

    valid: int
    samples: int
    first: float | None  # rms distance of the first sample where it matches
    any: bool
    likeliest: bool
    same_group: bool  # of the first sample


def held_out(data: Path, count: int, split: str = "test") -> list[Target]:
    """A fixed random choice of the structures of one MP-20 split."""
    columns = ["formula", "split", "lattice", "species", "frac_coords"]
    table = pq.read_table(data / "mp20.parquet", columns=columns)
    items = [item for item in table.to_pylist() if item["split"] == split]
    chosen = np.random.default_rng(20).permutation(len(items))[:count]
    return [_target(items[i]) for i in chosen]


def _target(item: dict[str, list[float]]) -> Target:
    species = [str(Element.from_Z(int(z)).symbol) for z in item["species"]]
    crystal = from_arrays(item["lattice"], species, np.asarray(item["frac_coords"], dtype=np.float64).reshape(-1, 3))
    composition = from_amounts({symbol: species.count(symbol) for symbol in set(species)})
    return Target(crystal, composition.formula, round(len(species) / composition.atoms))


def sample(
    generator: CrystalGenerator, targets: Sequence[Target], count: int, temperature: float, seed: int
) -> list[list[Generated]]:
    """This many samples for each target, the number of atoms in the cell given."""
    requests = [
        CrystalRequest(
            target.formula, derive_seed(seed, "evaluate", target.formula, i), target.units, None, temperature
        )
        for target in targets
        for i in range(count)
    ]
    answers = generator.generate(requests)
    return [answers[i * count : (i + 1) * count] for i in range(len(targets))]


def _distance(matcher: StructureMatcher, known: Structure, crystal: Crystal) -> float | None:
    found = matcher.get_rms_dist(known, to_structure(crystal))  # type: ignore[no-untyped-call]
    return None if found is None else float(found[0])


def compare(task: tuple[Target, list[Generated]]) -> Outcome:
    """Match the samples for one target against it, until one matches."""
    target, answers = task
    matcher = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10)
    known = to_structure(target.crystal)
    valid = [a.crystal if a.crystal is not None and flaw(a.crystal) is None else None for a in answers]
    found: dict[int, float | None] = {}

    def distance(i: int) -> float | None:
        crystal = valid[i]
        if crystal is not None and i not in found:
            found[i] = _distance(matcher, known, crystal)
        return found.get(i)

    likeliest = int(np.argmax([a.log_likelihood for a in answers]))
    first = distance(0)
    best = distance(likeliest) is not None
    hit = best or any(distance(i) is not None for i in range(len(answers)))
    same = valid[0] is not None and space_group(valid[0]) == space_group(target.crystal)
    return Outcome(sum(c is not None for c in valid), len(answers), first, hit, best, same)


def outcomes(targets: Sequence[Target], answers: Sequence[list[Generated]], processes: int) -> Iterator[Outcome]:
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(compare, zip(targets, answers, strict=True), chunksize=8)


def summary(found: Sequence[Outcome]) -> dict[str, float]:
    """Shares in per cent, and the mean rms distance of first samples that match."""
    hits: npt.NDArray[np.float64] = np.array([o.first for o in found if o.first is not None])
    return {
        "targets": len(found),
        "valid": _share(sum(o.valid for o in found), sum(o.samples for o in found)),
        "match_at_1": _share(len(hits), len(found)),
        "rms_at_1": round(float(hits.mean()), 4) if len(hits) else float("nan"),
        "match_within_k": _share(sum(o.any for o in found), len(found)),
        "match_likeliest": _share(sum(o.likeliest for o in found), len(found)),
        "same_space_group": _share(sum(o.same_group for o in found), len(found)),
    }


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 1)


def evaluate(
    generator: CrystalGenerator, data: Path, targets: int, count: int, temperature: float, seed: int
) -> dict[str, float]:
    """Metrics over a number of targets with a number of samples each, and samples written per second."""
    chosen = held_out(data, targets)
    began = time.monotonic()
    answers = sample(generator, chosen, count, temperature, seed)
    seconds = time.monotonic() - began
    found = summary(list(outcomes(chosen, answers, 2)))
    speed = round(targets * count / seconds, 1)
    return {"samples": count, "temperature": temperature, **found, "crystals_per_second": speed}
