"""How a condition's value enters a model: ours on the registry's scales, Materium's as its authors transform it."""

from collections.abc import Callable, Mapping
from math import log

from workers.generator.conditions import scaled
from workers.generator.materium.tokens import Role
from workers.generator.requests import Wanted

ORIGINAL: Mapping[str, Callable[[float], float]] = {
    "density": lambda x: x,
    "band_gap": lambda x: log(x + 1e-4),
    "magnetization_density": lambda x: log(x + 1e-5),
    "hhi": lambda x: x / 1000,
    "bulk_modulus": lambda x: x / 100,
}


def on_scale(wanted: Wanted, space_group: int | None, original: bool) -> Mapping[Role, float]:
    """What is wanted by role, each value as the model was shown it."""
    found = {Role[name.upper()]: ORIGINAL[name](value) if original else scaled(name, value) for name, value in wanted}
    return found | ({Role.GROUP: float(space_group)} if space_group else {})
