"""How crystals are drawn."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many crystals of each formula, from which seed, how freely, under which limits."""

    count: int
    seed: int
    temperature: float
    space_group: int | None
    max_atoms: int
