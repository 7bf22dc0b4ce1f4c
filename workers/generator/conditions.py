"""What a crystal can be steered towards: names, units, accepted ranges, and how each enters a model."""

from dataclasses import dataclass

import numpy as np

from workers.errors import InvalidCondition


@dataclass(frozen=True, slots=True)
class Condition:
    """A quantity with the range that is accepted; on its scale equal steps matter equally."""

    name: str
    unit: str
    low: float
    high: float
    shift: float  # added before the logarithm


CONDITIONS = (
    Condition("density", "g/cm³", 0.1, 25.0, 0.0),
    Condition("band_gap", "eV", 0.0, 18.0, 0.1),
    Condition("magnetization_density", "μB/Å³", 0.0, 0.3, 1e-3),
    Condition("hhi", "", 500.0, 10_000.0, 0.0),
    Condition("bulk_modulus", "GPa", 1.0, 500.0, 0.0),
)
BY_NAME = {condition.name: condition for condition in CONDITIONS}


def scaled(name: str, value: float) -> float:
    """A condition's value on its scale, 0 at the low end of its range and 1 at the high end, held within it."""
    condition = BY_NAME[name]
    low, high, place = (np.log(x + condition.shift) for x in (condition.low, condition.high, max(value, condition.low)))
    return float(min((place - low) / (high - low), 1.0))


def check(name: str, value: float) -> None:
    """Raises InvalidCondition for an unknown name or a value out of range."""
    if name not in BY_NAME:
        raise InvalidCondition(name, f"no such condition; {', '.join(BY_NAME)} are known")
    condition = BY_NAME[name]
    if not condition.low <= value <= condition.high:
        unit = f" {condition.unit}" if condition.unit else ""
        raise InvalidCondition(f"{name} {value:g}", f"{condition.low:g} to {condition.high:g}{unit} are accepted")
