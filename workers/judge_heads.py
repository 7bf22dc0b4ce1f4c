"""The structure predictor's heads: from features of a crystal to properties. Knows neither CHGNet nor pymatgen."""

from collections.abc import Mapping

import numpy as np

from workers.judge_networks import Ensemble

Column = tuple[np.ndarray, np.ndarray]

FRACTIONS = slice(0, 95)  # of a row of features: by atomic number; column 0, which is no element, bears the energy
OUTPUTS = ("band_gap", "formation_energy_per_atom")
PREDICTED = (*OUTPUTS, "e_above_hull")
UNITS = {"band_gap": 1.0, "formation_energy_per_atom": 0.03}  # eV of one unit of a head's output


class Judge:
    """Band gap in eV and formation energy in eV/atom from the heads; the energy above the hull is what the formation
    energy has over the competing phases (a head of its own did not come closer)."""

    def __init__(self, arrays: Mapping[str, np.ndarray], device: str) -> None:
        self.ridge = arrays["ridge"].astype(np.float64)
        self._heads = Ensemble(section(arrays, "heads"), device)
        self._calibration = dict(zip(PREDICTED, arrays["calibration"].tolist(), strict=True))

    def answer(self, rows: np.ndarray, hull: np.ndarray) -> dict[str, Column]:
        """Values and standard deviations (B) by property, of features (B, p) and of what competing phases reach (B) in
        eV/atom."""
        medians, stds = self._heads(rows)
        gap, rest = (medians[:, i] * UNITS[name] for i, name in enumerate(OUTPUTS))
        gap_std, energy_std = (stds[:, i] * UNITS[name] for i, name in enumerate(OUTPUTS))
        energy = ridge_energy(rows, self.ridge) + rest
        found = {
            "band_gap": (np.maximum(gap, 0.0), gap_std),
            "formation_energy_per_atom": (energy, energy_std),
            "e_above_hull": (np.maximum(energy - hull, 0.0), energy_std),
        }
        return {name: (value, std * self._calibration[name]) for name, (value, std) in found.items()}


def ridge_energy(rows: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Formation energy in eV/atom, linear in CHGNet's energy and the atomic fractions."""
    return np.asarray(rows[:, FRACTIONS].astype(np.float64) @ ridge)


def section(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The arrays under a name, without it."""
    return {key.removeprefix(name + "."): array for key, array in arrays.items() if key.startswith(name + ".")}
