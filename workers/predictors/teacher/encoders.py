"""The teacher's encoders: one small network a modality, all into one space of unit vectors, and the loss between them.

In the manner of MultiMat (V. Moro et al., Newton 2025): symmetric InfoNCE over pairs of modalities, 128 dimensions,
temperature 0.2. The encoders are our own choice: sets of orbits in place of graphs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ELEMENTS, LETTERS, GROUPS, SYSTEMS = 119, 28, 231, 7
SYSTEM_ENDS = (2, 15, 74, 142, 167, 194, 230)  # last space group of each crystal system
TEMPERATURE = 0.2


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """Sizes; `features` of the crystal, `vectors` (name, width) of the other modalities."""

    features: int
    vectors: tuple[tuple[str, int], ...]
    atoms: int = 64
    width: int = 256
    dimension: int = 128


@dataclass(frozen=True, slots=True)
class View:
    """A batch of materials: features (B, F), space groups (B), vectors (B, d) by name; by orbit its material (o),
    atomic number (o), letter (o), share (o) and atom features (o, A)."""

    features: Tensor
    groups: Tensor
    vectors: Mapping[str, Tensor]
    owner: Tensor
    numbers: Tensor
    letters: Tensor
    shares: Tensor
    atoms: Tensor


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))


def _pool(states: Tensor, view: View) -> Tensor:
    """The mean of orbits' states (o, C) over each material's atoms, (B, C)."""
    weighted = states * view.shares.unsqueeze(1)
    return torch.zeros(len(view.groups), states.shape[1]).to(weighted).index_add(0, view.owner, weighted)


class StructureEncoder(nn.Module):
    """CHGNet's features of the crystal, and a set encoder over its orbits' atoms."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.element = nn.Embedding(ELEMENTS, config.width)
        self.atom = nn.Linear(config.atoms, config.width)
        self.mix = nn.Linear(config.width, config.width)
        self.crystal = nn.Linear(config.features, config.width)
        self.answer = _perceptron(2 * config.width, config.width, config.dimension)

    def forward(self, view: View) -> Tensor:
        orbits = F.gelu(self.mix(F.gelu(self.element(view.numbers) + self.atom(view.atoms))))
        joint = torch.cat((_pool(orbits, view), F.gelu(self.crystal(view.features))), dim=1)
        answer: Tensor = self.answer(joint)
        return answer


class SymmetryEncoder(nn.Module):
    """A description in words: the space group, the crystal system, and which element sits on which Wyckoff letter."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.element = nn.Embedding(ELEMENTS, config.width)
        self.letter = nn.Embedding(LETTERS, config.width)
        self.group = nn.Embedding(GROUPS, config.width)
        self.system = nn.Embedding(SYSTEMS, config.width)
        self.mix = nn.Linear(config.width, config.width)
        self.answer = _perceptron(2 * config.width, config.width, config.dimension)

    def forward(self, view: View) -> Tensor:
        ends = torch.tensor(SYSTEM_ENDS, device=view.groups.device)
        place = self.group(view.groups) + self.system(torch.bucketize(view.groups, ends))
        words = self.element(view.numbers) + self.letter(view.letters) + place[view.owner]
        answer: Tensor = self.answer(torch.cat((_pool(F.gelu(self.mix(F.gelu(words))), view), place), dim=1))
        return answer


class VectorEncoder(nn.Module):
    """Numbers with gaps: what is unknown is zero, and said to be unknown."""

    def __init__(self, inputs: int, config: TeacherConfig) -> None:
        super().__init__()
        self.layers = _perceptron(2 * inputs, config.width, config.dimension)

    def forward(self, values: Tensor) -> Tensor:
        known = values.isfinite()
        answer: Tensor = self.layers(torch.cat((torch.where(known, values, 0.0), known.to(values)), dim=1))
        return answer


class Encoders(nn.Module):
    """All modalities; the first two are known of every material."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self.structure = StructureEncoder(config)
        self.symmetry = SymmetryEncoder(config)
        self.others = nn.ModuleDict({name: VectorEncoder(width, config) for name, width in config.vectors})

    def forward(self, view: View) -> dict[str, tuple[Tensor, Tensor]]:
        """By modality unit vectors (B, d), and whether it is known (B)."""
        everywhere = torch.ones(len(view.groups), dtype=torch.bool, device=view.groups.device)
        found = {"structure": (self.structure(view), everywhere), "symmetry": (self.symmetry(view), everywhere)}
        for name, encoder in self.others.items():
            found[name] = (encoder(view.vectors[name]), view.vectors[name].isfinite().any(dim=1))
        return {name: (F.normalize(vectors.float(), dim=1), known) for name, (vectors, known) in found.items()}


def contrast(first: Tensor, second: Tensor, known: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Symmetric InfoNCE between unit vectors (B, d) of the rows that know both; zero where fewer than two do."""
    if int(known.sum()) < 2:
        return first.sum() * 0.0
    likeness = first[known] @ second[known].T / temperature
    own = torch.arange(len(likeness), device=likeness.device)
    return (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)) / 2


def all_pairs(found: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
    """The mean contrast over all pairs of modalities."""
    losses = [contrast(found[a][0], found[b][0], found[a][1] & found[b][1]) for a, b in combinations(found, 2)]
    return torch.stack(losses).mean()


def merge(found: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
    """One unit vector a material (B, d): the mean over the modalities that are known of it."""
    vectors = torch.stack([torch.where(known.unsqueeze(1), x, 0.0) for x, known in found.values()])
    return F.normalize(vectors.sum(dim=0), dim=1)
