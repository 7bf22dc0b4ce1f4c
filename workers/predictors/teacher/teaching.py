"""Training a teacher: views of the corpus in batches, and encoders that learn to find each other's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workers.predictors.fitting import Stage, Trainee, fit
from workers.predictors.teacher.encoders import Encoders, TeacherConfig, View, all_pairs, merge
from workers.predictors.teacher.materials import Materials

BATCH = 512
CLIP = 6.0  # spreads from the mean
_SEEN = 4096  # rows that the report looks at


class Views:
    """Batches of materials, standardised over all of them; the sequence of a seed can be asked at any step."""

    def __init__(self, materials: Materials, seed: int, size: int = BATCH) -> None:
        self._materials, self._seed, self._size = materials, seed, size
        self._features = standardise(materials.features)
        self._atoms = standardise(materials.orbits["atoms"].astype(np.float32)).half()
        self._vectors = {name: standardise(values) for name, values in materials.vectors.items()}
        self.epoch_steps = max(1, len(materials) // size)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __getitem__(self, step: int) -> View:
        epoch, place = divmod(step, self.epoch_steps)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._materials))
        return self.view(self._order[place * self._size : (place + 1) * self._size])

    def view(self, rows: np.ndarray) -> View:
        """The materials of some rows."""
        starts, orbits = self._materials.starts, self._materials.orbits
        counts = np.diff(starts)[rows]
        ends = np.cumsum(counts)
        places = np.arange(ends[-1]) + np.repeat(starts[rows] - ends + counts, counts)
        index = torch.from_numpy(rows)
        return View(
            features=self._features[index],
            groups=torch.from_numpy(self._materials.groups[rows].astype(np.int64)),
            vectors={name: values[index] for name, values in self._vectors.items()},
            owner=torch.from_numpy(np.repeat(np.arange(len(rows)), counts)),
            numbers=torch.from_numpy(orbits["numbers"][places].astype(np.int64)),
            letters=torch.from_numpy(orbits["letters"][places].astype(np.int64)),
            shares=torch.from_numpy(orbits["shares"][places]),
            atoms=self._atoms[torch.from_numpy(places)].float(),
        )


def standardise(values: np.ndarray) -> Tensor:
    """Columns in spreads from their mean, clipped; NaN stays."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64) / count
    spread = np.sqrt((np.where(known, values - centre, 0.0) ** 2).sum(axis=0) / count)
    return torch.from_numpy(((values - centre) / np.maximum(spread, 1e-3)).clip(-CLIP, CLIP).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Contrasting:
    """The loss of the encoders: each modality of a material is to find the others among those of the batch."""

    encoders: Encoders

    def __call__(self, view: View, generator: torch.Generator) -> Tensor:
        return all_pairs(self.encoders(view))


class ContrastiveTeacher:
    """Encoders of structures, symmetries and other vectors, trained on each other."""

    def __init__(self, materials: Materials, seed: int, width: int = 256) -> None:
        torch.manual_seed(seed)
        vectors = tuple((name, values.shape[1]) for name, values in materials.vectors.items())
        self.encoders = Encoders(TeacherConfig(materials.features.shape[1], vectors, width=width))
        self._seed = seed

    def learn(self, materials: Materials, work: Path, stage: Stage) -> None:
        """Train for a stage; snapshots lie in the work folder."""
        views = Views(materials, self._seed)
        sample = views.view(np.random.default_rng(self._seed).permutation(len(materials))[:_SEEN])
        trainee = Trainee(self.encoders, Contrasting(self.encoders), lambda: report(self.encoders, sample))
        fit(trainee, stage, views, work)

    @torch.inference_mode()
    def embed(self, materials: Materials) -> np.ndarray:
        """Unit vectors (n, d), in the order of the materials; standardised over them, hence all at once."""
        self.encoders.eval()
        views = Views(materials, self._seed)
        rows = np.array_split(np.arange(len(materials)), -(-len(materials) // _SEEN))
        return np.concatenate([merge(self.encoders(views.view(part))).numpy() for part in rows])


@torch.inference_mode()
def report(encoders: Encoders, view: View) -> str:
    """How often a structure's nearest symmetry, among those of the view, is its own."""
    found = encoders(view)
    nearest = (found["structure"][0] @ found["symmetry"][0].T).argmax(dim=1)
    hits = (nearest == torch.arange(len(nearest))).float().mean().item()
    return f"symmetry found among {len(nearest)} in {hits:.1%}"
