"""Explanations of predictions as values: which sets of elements add how much."""

from dataclasses import dataclass
from typing import Literal, get_args

Index = Literal["k-SII", "SV", "STII", "FSII"]
INDICES: tuple[str, ...] = get_args(Index)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction as a baseline (nothing known but the number of elements) plus interactions of elements.

    Elements stand in the order of the formula; baseline + sum of interactions = value to 1e-4.
    """

    formula: str
    property: str
    index: str
    order: int
    baseline: float
    value: float
    interactions: tuple[tuple[tuple[str, ...], float], ...]
