"""The described corpus as arrays: what each modality of the teacher reads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

ORBITS = ("numbers", "letters", "shares", "atoms")
ENERGY = 0  # the column of the features that bears CHGNet's energy in eV/atom
EXTRA = "density_of_states"  # a table that users may bring: material_id, and a list of as many numbers in every row


@dataclass(frozen=True, slots=True)
class Materials:
    """By structure (n): its composition's identity, CHGNet's features (n, 422), space group, and vectors of the other
    modalities (n, d) with NaN where unknown; by orbit (o): numbers, letters, shares, CHGNet's features of an atom."""

    compositions: np.ndarray
    features: np.ndarray
    groups: np.ndarray
    vectors: Mapping[str, np.ndarray]
    starts: np.ndarray
    orbits: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.groups)

    def without(self, held_out: Collection[str]) -> "Materials":
        """The materials of other compositions than those held out."""
        return self.take(np.flatnonzero(~np.isin(self.compositions, np.array(sorted(held_out), dtype=np.str_))))

    def take(self, rows: np.ndarray) -> "Materials":
        """Some materials, in the order of the rows."""
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate(([0], np.cumsum(counts)))
        places = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], counts)
        return Materials(
            self.compositions[rows],
            self.features[rows],
            self.groups[rows],
            {name: array[rows] for name, array in self.vectors.items()},
            starts,
            {name: array[places] for name, array in self.orbits.items()},
        )


def load_materials(work: Path) -> Materials:
    """All shards in a folder, with the densities of states beside them if there are any; what spells no composition is
    left out."""
    shards = [dict(np.load(path)) for path in sorted(work.glob("structures-*.npz"))]
    if not shards:
        raise FileNotFoundError(f"{work} holds no structures-*.npz; describe the corpus first")
    arrays = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    vectors = {"scalars": _logarithmic(arrays["scalars"])}
    if (extra := _read_extra(work, arrays["names"])) is not None:
        vectors[EXTRA] = extra
    starts = np.concatenate(([0], np.cumsum(arrays["counts"], dtype=np.int64)))
    orbits = {name: arrays[name] for name in ORBITS}
    materials = Materials(arrays["compositions"], arrays["features"], arrays["groups"], vectors, starts, orbits)
    return materials.take(np.flatnonzero(materials.compositions != ""))


def _logarithmic(scalars: np.ndarray) -> np.ndarray:
    """Scalars with density and bulk modulus, the first and the last, as logarithms: both are spread over decades."""
    found = scalars.copy()
    found[:, [0, -1]] = np.log(np.maximum(found[:, [0, -1]], 1e-2))
    return found


def _read_extra(work: Path, names: np.ndarray) -> np.ndarray | None:
    path = work / f"{EXTRA}.parquet"
    if not path.is_file():
        return None
    table = pq.read_table(path)
    found = dict(zip(table["material_id"].to_pylist(), table["values"].to_pylist(), strict=True))
    width = len(next(iter(found.values())))
    return np.array([found.get(name, [np.nan] * width) for name in names.tolist()], dtype=np.float32)
