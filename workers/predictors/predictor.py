"""The composition predictor: formulas in, properties with standard deviations out, in fixed padded tiles."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workers.cards import Card
from workers.errors import InvalidFormula
from workers.predictors.calibration import Recalibration
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.table import LABELS, MASK
from workers.predictors.tokens import Tokenizer, Tokens, read_amounts
from workers.properties import Predicted

PROPERTIES = ("band_gap", "formation_energy_per_atom", "e_above_hull")


class Ensemble(nn.Module):
    """Members that share one forward pass; weights by name are the arrays of the checkpoint.

    `centre` and `spread` (property,) undo the scaling of the labels, `stretch` (property,) calibrates the spread.
    """

    def __init__(self, config: NetworkConfig, members: int) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(Network(config) for _ in range(members))
        for name in ("centre", "spread", "stretch"):
            self.register_buffer(name, torch.ones(len(PROPERTIES)))
        self.centre: Tensor
        self.spread: Tensor
        self.stretch: Tensor

    def forward(self, numbers: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Values and standard deviations (B, property) in eV or eV/atom, from tokens (B, T)."""
        values, stds = self.unbounded(numbers, shares)
        return bounded(values, stds * self.stretch), stds * self.stretch

    def unbounded(self, numbers: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Gap, formation energy and decomposition energy as learned, with uncalibrated standard deviations."""
        outputs = [member(numbers, shares) for member in self.members]
        medians = torch.stack([median[:, :LABELS] for median, _ in outputs])  # (E, B, P)
        scales = torch.stack([scale[:, :LABELS] for _, scale in outputs]).exp()
        # A Laplace distribution of scale b has the variance 2 b²; the members' disagreement comes on top.
        variances = 2.0 * scales.square().mean(dim=0) + medians.var(dim=0, unbiased=False)
        return medians.mean(dim=0) * self.spread + self.centre, variances.sqrt() * self.spread


def bounded(values: Tensor, stds: Tensor) -> Tensor:
    """Gaps cut at zero, and decomposition energies (the third column) turned into energies above the hull.

    That is the expected distance above the hull of a normal distribution: hardly ever zero, so that stable compositions
    can be ranked, and larger where the model is unsure, against optimism on compositions unlike any known.
    """
    gap, formation, decomposition = values.unbind(dim=-1)
    std = stds[:, 2]
    z = decomposition / std
    density = torch.exp(-0.5 * z.square()) / sqrt(2.0 * torch.pi)
    above = decomposition * 0.5 * torch.erfc(-z / sqrt(2.0)) + std * density
    return torch.stack((gap.clamp(min=0.0), formation, above.clamp(min=0.0)), dim=-1)


class CompositionPredictor:
    """Predicts the properties of formulas; a formula's answer depends on nothing but the formula.

    Formulas are gathered by their own number of elements and computed in tiles of one fixed shape.
    """

    properties = PROPERTIES

    def __init__(self, card: Card, arrays: Mapping[str, np.ndarray], device: str) -> None:
        self.card = card
        self.device = torch.device(device)
        config: Any = card.config
        self.tokenizer = Tokenizer(config["elements"], config["longest"])
        shapes = config.get("shapes", {}).items()
        self._shapes = {name: Recalibration.from_json(shape) for name, shape in shapes}
        self._ensemble = Ensemble(NetworkConfig(**config["network"]), _members(arrays)).to(self.device).eval()
        self._ensemble.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})

    def unsupported(self, formula: str) -> str | None:
        """Why the model cannot answer for a formula, or None."""
        try:
            return self.tokenizer.flaw(read_amounts(formula))
        except InvalidFormula as exc:
            return str(exc.args[-1])  # the reason alone: the caller has the formula

    def predict(self, formulas: Sequence[str]) -> list[Predicted]:
        """Value and standard deviation by property for each formula, in order; raises InvalidFormula."""
        values, stds = self.predict_arrays(formulas)
        return [
            dict(zip(PROPERTIES, zip(row, spread, strict=True), strict=True))
            for row, spread in zip(values.tolist(), stds.tolist(), strict=True)
        ]

    def predict_arrays(self, formulas: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Values and standard deviations (n, property) in the order of PROPERTIES; raises InvalidFormula."""
        return self._compute([self.tokenizer.read(formula) for formula in formulas])

    def chances(self, formulas: Sequence[str], property: str, low: float, high: float) -> np.ndarray:
        """Probabilities (n,) that a property lies from low to high; raises InvalidFormula, and ValueError where the
        checkpoint knows no shape of the property's errors."""
        if property not in self._shapes:
            raise ValueError(f"{property=}: the errors' shape is known of {', '.join(self._shapes) or 'none'}")
        column = PROPERTIES.index(property)
        values, stds = (array[:, column] for array in self.predict_arrays(formulas))
        return self._shapes[property].between(low, high, values, stds)

    def masked_predict(self, numbers: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and standard deviations (n, property) of tokens (n, T), hidden where MASK or 0.0 stands."""
        values = np.empty((len(numbers), len(PROPERTIES)))
        stds = np.empty_like(values)
        for start in range(0, len(numbers), self.card.tile):
            part = slice(start, start + self.card.tile)
            values[part], stds[part] = self._tile(numbers[part], shares[part])
        return values, stds

    def _compute(self, tokens: Sequence[Tokens]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(item.numbers) for item in tokens], dtype=np.int64)
        values = np.empty((len(tokens), len(PROPERTIES)))
        stds = np.empty_like(values)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            mine = [tokens[row] for row in rows.tolist()]
            numbers = np.array([item.numbers for item in mine], dtype=np.int64)
            shares = np.array([item.shares for item in mine], dtype=np.float32)
            values[rows], stds[rows] = self.masked_predict(numbers, shares)
        return values, stds

    @torch.inference_mode()
    def _tile(self, known: np.ndarray, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count, length = known.shape
        numbers = torch.full((self.card.tile, length), MASK, dtype=torch.int64)
        shares = torch.zeros((self.card.tile, length), dtype=torch.float32)
        numbers[:count], shares[:count] = torch.from_numpy(known), torch.from_numpy(amounts)
        values, stds = self._ensemble(numbers.to(self.device), shares.to(self.device))
        return values[:count].cpu().numpy(), stds[:count].cpu().numpy()


def _members(arrays: Mapping[str, np.ndarray]) -> int:
    return len({name.split(".")[1] for name in arrays if name.startswith("members.")})
