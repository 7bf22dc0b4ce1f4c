"""What is computed of the corpus, in shards that outlive an interruption: CHGNet's view, and the symmetry."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import spglib
import torch
from pymatgen.core import Element

from workers.crystals import Crystal, matrix
from workers.errors import CrystalError
from workers.judge_features import features
from workers.judge_tables import read_crystal
from workers.potentials import Potential
from workers.predictors.teacher.corpus import SCALARS, read_corpus
from workers.predictors.tokens import name_of

SHARD = 512
LETTERS = "abcdefghijklmnopqrstuvwxyzA"
SYMPREC = 0.1  # Å

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Orbits:
    """The space group, and by orbit: one of its atoms, its atomic number, place of its Wyckoff letter from 1, and its
    share of the cell's atoms."""

    group: int
    atoms: np.ndarray
    numbers: np.ndarray
    letters: np.ndarray
    shares: np.ndarray


def prepare(data: Path, work: Path, processes: int = 2, limit: int | None = None) -> None:
    """Describe the corpus, or the first so many of it; shards already written stay, and the time left is told."""
    work.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(data).slice(0, limit)
    parts = {place: corpus.slice(place * SHARD, SHARD) for place in range(-(-len(corpus) // SHARD))}
    wanted = {place: part for place, part in parts.items() if not shard_path(work, place).exists()}
    cost = {place: _cost(part) for place, part in wanted.items()}
    left, began, spent = sum(cost.values()), monotonic(), 0.0
    print(f"{len(corpus)} structures in {len(parts)} shards, {len(wanted)} to be described", flush=True)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        jobs = {pool.submit(_write, shard_path(work, place), part): place for place, part in wanted.items()}
        for place in _ended(jobs):
            spent += cost[place]
            seconds = (monotonic() - began) * (left - spent) / spent
            print(f"shard {place}: {spent / left:.1%}, about {seconds / 60:.0f} minutes left", flush=True)


def shard_path(work: Path, place: int) -> Path:
    """The file of a shard."""
    return work / f"structures-{place:04d}.npz"


def _ended(jobs: Mapping["Future[None]", int]) -> Iterator[int]:
    for job in as_completed(jobs):
        job.result()
        yield jobs[job]


def _cost(part: pa.Table) -> float:
    """Processor time of a part in arbitrary units: CHGNet's grows a little faster than the number of atoms."""
    sizes = pc.list_value_length(part["species"]).to_numpy()
    return float((sizes**1.25 + 6).sum())


def _write(path: Path, part: pa.Table) -> None:
    arrays = describe(_potential(), part)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    partial.replace(path)  # a kill while writing leaves no half shard


@cache
def _potential() -> Potential:
    torch.set_num_threads(1)
    return Potential("cpu")


def describe(potential: Potential, part: pa.Table) -> Arrays:
    """By structure: id, its composition's identity, scalars (k, SCALARS), features (k, 422), space group and number of
    orbits; by orbit: atomic number, letter, share and CHGNet's features of an atom (o, 64). What the potential refuses
    is left out."""
    columns: dict[str, list[np.ndarray]] = {}
    for row in part.to_pylist():
        try:
            found = _describe(potential, read_crystal(row))
        except CrystalError as exc:
            print(f"left out: {row['material_id']}: {exc}", flush=True)
            continue
        found["names"], found["compositions"] = np.array([row["material_id"]]), np.array([name_of(row["formula"])])
        found["scalars"] = np.array([[np.nan if row[name] is None else row[name] for name in SCALARS]], np.float32)
        for name, array in found.items():
            columns.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in columns.items()}


def _describe(potential: Potential, crystal: Crystal) -> Arrays:
    described = potential.describe(crystal)
    orbits = find_orbits(crystal)
    return {
        "features": features(crystal, described)[None],
        "groups": np.array([orbits.group], dtype=np.int16),
        "counts": np.array([len(orbits.atoms)], dtype=np.int16),
        "numbers": orbits.numbers.astype(np.int8),
        "letters": orbits.letters.astype(np.int8),
        "shares": orbits.shares.astype(np.float32),
        "atoms": described.atoms[orbits.atoms].astype(np.float16),
    }


def find_orbits(crystal: Crystal) -> Orbits:
    """The crystal's orbits as spglib finds them; where it finds none, each atom is its own in P1."""
    numbers = [int(Element(symbol).Z) for symbol in crystal.species]
    group, letters, orbit = 1, ["a"] * len(numbers), np.arange(len(numbers))
    try:
        found = spglib.get_symmetry_dataset((matrix(crystal).tolist(), crystal.coords, numbers), symprec=SYMPREC)
    except spglib.SpglibError:
        found = None
    if found is not None:
        group, letters, orbit = int(found.number), list(found.wyckoffs), np.asarray(found.crystallographic_orbits)
    _, atoms, counts = np.unique(orbit, return_index=True, return_counts=True)
    places = np.array([LETTERS.index(letters[atom]) + 1 for atom in atoms])
    return Orbits(group, atoms, np.array(numbers)[atoms], places, counts / len(numbers))
