"""The structure predictor: properties of a crystal from heads on a universal potential's view of it."""

from collections.abc import Mapping, Sequence

import numpy as np
from pymatgen.core import Element

from workers.cards import Card
from workers.compositions import parse_formula
from workers.crystals import Crystal
from workers.errors import CrystalError
from workers.hulls import Hull
from workers.judge_features import features
from workers.judge_heads import Judge
from workers.potentials import Potential
from workers.properties import Predicted, structure_name


class StructurePredictor:
    """Values and standard deviations of structure_band_gap (eV), structure_formation_energy_per_atom and
    structure_e_above_hull (eV/atom) from the structure; structure_density (g/cm³) is computed. Crystals are judged one
    by one, so that no answer depends on its neighbours."""

    def __init__(self, card: Card, arrays: Mapping[str, np.ndarray], potential: Potential, device: str = "cpu") -> None:
        self.card = card
        self._potential = potential
        self._judge = Judge(arrays, device)
        self._hull = hull_of(arrays)

    def predict(self, crystals: Sequence[Crystal]) -> list[Predicted]:
        """One answer a crystal; only the density of one that the potential refuses."""
        return [self._predict(crystal) for crystal in crystals]

    def knows(self, formula: str) -> bool:
        """Whether a known phase has this composition."""
        composition = parse_formula(formula)
        pairs = zip(composition.elements, composition.amounts, strict=True)
        return self._hull.holds({int(Element(symbol).Z): amount for symbol, amount in pairs})

    def _predict(self, crystal: Crystal) -> Predicted:
        try:
            row = features(crystal, self._potential.describe(crystal))
        except CrystalError:
            return _density(crystal)
        amounts = {int(Element(symbol).Z): float(crystal.species.count(symbol)) for symbol in set(crystal.species)}
        values = self._judge.answer(row[None], np.array([self._hull.energy(amounts)]))
        plain = {name: (float(value[0]), float(std[0])) for name, (value, std) in values.items()}
        return {structure_name(name): plain[name] for name in plain} | _density(crystal)


def hull_of(arrays: Mapping[str, np.ndarray]) -> Hull:
    """The known phases in a checkpoint's arrays."""
    return Hull(*(arrays[f"hull.{name}"] for name in ("numbers", "fractions", "energies")))


def _density(crystal: Crystal) -> Predicted:
    return {structure_name("density"): (crystal.density, 0.0)}
