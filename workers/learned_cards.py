"""What checkpoints of predictors that users train are called, and how one is given another name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workers.cards import Card, card_json, save_checkpoint

KIND = "learned-table"


def name_array(name: str) -> dict[str, np.ndarray]:
    """The name as a part of the weights, and so of their hash: two properties learned alike are two models."""
    return {"property": np.frombuffer(name.encode(), dtype=np.uint8)}


def renamed(folder: Path, card: Card, arrays: Mapping[str, np.ndarray], name: str) -> Card:
    """Write the same predictor of a property with another name to a folder."""
    fields = {key: value for key, value in card_json(card).items() if key != "model_id"}
    return save_checkpoint(folder, {**arrays, **name_array(name)}, **{**fields, "name": name, "properties": (name,)})
