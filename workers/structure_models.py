"""The structure predictor as actors hold it, with the potential that ranks and relaxes."""

from collections.abc import Mapping, Sequence

import numpy as np

from workers.cards import Card
from workers.crystals import Crystal, merge_duplicates
from workers.judges import StructurePredictor
from workers.potentials import Potential
from workers.properties import Predicted
from workers.references import Comparison, match
from workers.relaxation import Relaxed


class StructureModel:
    """Energies, relaxation and properties of crystals."""

    def __init__(self, card: Card, arrays: Mapping[str, np.ndarray], device: str) -> None:
        self._potential = Potential(device)
        self._judge = StructurePredictor(card, arrays, self._potential, device)

    def predict(self, crystals: Sequence[Crystal]) -> list[Predicted]:
        """Value and standard deviation by property, their names prefixed with structure_."""
        return list(self._judge.predict(list(crystals)))

    def known(self, formulas: Sequence[str]) -> list[bool]:
        """Whether each is the composition of a known phase."""
        return [self._judge.knows(formula) for formula in formulas]

    def energies(self, crystals: Sequence[Crystal]) -> list[float]:
        """Energies in eV/atom, infinite where there is none."""
        return self._potential.energies(crystals)

    def relax(self, crystals: Sequence[Crystal], steps: int, fmax: float) -> list[Relaxed]:
        """Relaxed crystals; fmax in eV/Å."""
        return self._potential.relax(crystals, steps, fmax)

    def match(self, comparisons: Sequence[Comparison]) -> list[int]:
        """For each crystal the place of the known one that is the same; -1 where none is."""
        return match(comparisons)

    def merge(self, groups: Sequence[Sequence[Crystal]]) -> list[list[int]]:
        """For each crystal of each group the place of the first one that is the same."""
        return [merge_duplicates(group) for group in groups]
