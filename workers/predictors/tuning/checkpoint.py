"""A learner as arrays and configuration, and back; and the shipped predictor as what a learner starts from."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from workers.cards import Card, Json
from workers.predictors.calibration import Recalibration
from workers.predictors.network import Network, NetworkConfig
from workers.predictors.table import LONGEST, TASKS, Table
from workers.predictors.tuning.forest import Forest
from workers.predictors.tuning.learner import Learner, Start
from workers.predictors.tuning.sheet import Transform

Arrays = Mapping[str, np.ndarray]

_TRUNK = "members.0."


def start_from(card: Card, arrays: Arrays) -> Start:
    """The first member of the composition predictor as a trunk, over the predictor's elements."""
    config: Any = card.config
    trunk = _network(NetworkConfig(**config["network"]), part_of(arrays, _TRUNK))
    return Start(_base(config["elements"], trunk.table[1:].numpy()), trunk)


def to_arrays(learner: Learner) -> dict[str, np.ndarray]:
    """All that a learner has learned, but for a few numbers, as arrays by name."""
    found = {"features": learner.start.base.features}
    found |= _named("trunk", _weights(learner.start.trunk))
    for place, network in enumerate(learner.networks):
        found |= _named(f"networks.{place}", _weights(network))
    for place, forest in enumerate(learner.forests):
        found |= _named(f"forests.{place}", forest.to_arrays())
    if learner.recalibration is not None:
        found |= _named("recalibration", asdict(learner.recalibration))
    return found


def to_config(learner: Learner) -> Json:
    """The numbers, the vocabulary and the sizes that the arrays lack, for a card."""
    return {
        "elements": list(learner.start.base.elements),
        "longest": LONGEST,
        "network": asdict(learner.start.trunk.config),
        "transform": asdict(learner.transform),
        "classification": learner.classification,
        "weight": learner.weight,
        "threshold": learner.threshold,
    }


def restore(config: Mapping[str, Any], arrays: Arrays) -> Learner:
    """The learner that to_arrays and to_config told; raises KeyError, TypeError or RuntimeError for another's."""
    sizes = config["network"]
    trunk = _network(NetworkConfig(**sizes), part_of(arrays, "trunk."))
    known = part_of(arrays, "recalibration.")
    return Learner(
        start=Start(_base(config["elements"], arrays["features"]), trunk),
        transform=Transform(**config["transform"]),
        classification=bool(config["classification"]),
        networks=[_network(NetworkConfig(**sizes | {"tasks": 1}), part) for part in _parts(arrays, "networks.")],
        forests=[Forest.from_arrays(part) for part in _parts(arrays, "forests.")],
        weight=float(config["weight"]),
        threshold=float(config["threshold"]),
        recalibration=Recalibration(**known) if known else None,
    )


def part_of(arrays: Arrays, prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _parts(arrays: Arrays, prefix: str) -> list[dict[str, np.ndarray]]:
    own = part_of(arrays, prefix)
    return [part_of(own, f"{place}.") for place in range(len({name.split(".")[0] for name in own}))]


def _named(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _weights(network: Network) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def _network(config: NetworkConfig, arrays: Arrays) -> Network:
    network = Network(config)
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    return network.eval()


def _base(elements: list[str], features: np.ndarray) -> Table:
    """A table that has a vocabulary and its properties, and no rows."""
    return Table(
        elements=tuple(elements),
        features=features,
        numbers=np.zeros((0, LONGEST), dtype=np.int16),
        shares=np.zeros((0, LONGEST), dtype=np.float32),
        labels=np.zeros((0, len(TASKS)), dtype=np.float32),
        splits=np.zeros(0, dtype=np.int8),
        names=np.zeros(0, dtype=np.str_),
    )
