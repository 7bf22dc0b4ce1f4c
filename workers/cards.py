"""Checkpoints: weights beside a card that says what they are."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from workers.errors import CheckpointError

PRETRAINED = Path(__file__).parent / "pretrained"
WEIGHTS = "weights.safetensors"
CARD = "card.json"

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Card:
    """What a checkpoint is: its kind and configuration, where it comes from, how good it is."""

    name: str
    kind: str
    model_id: str  # sha256 of the weights file
    config: Json
    tile: int  # rows of one padded batch
    properties: tuple[str, ...] = ()
    data: str = ""
    licence: str = ""
    held_out: str = ""
    metrics: Json = field(default_factory=dict)
    seed: int = 0
    hardware: str = ""
    seconds: float = 0.0
    command: str = ""
    notes: str = ""


def save_checkpoint(folder: Path, arrays: Mapping[str, np.ndarray], **fields: object) -> Card:
    """Write weights and card to a folder and return the card with the weights' hash."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone, a wheel is for everybody
    card = Card(model_id=_digest(folder / WEIGHTS), **fields)  # type: ignore[arg-type]
    write_card(folder, card)
    return card


def write_card(folder: Path, card: Card) -> None:
    """Write the card alone, as when its metrics were measured later."""
    text = json.dumps(card_json(card), indent=2, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """The card in a folder; raises CheckpointError."""
    try:
        return make_card(json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as exc:
        raise CheckpointError(folder, f"no readable {CARD}: {exc}") from exc


def card_json(card: Card) -> Json:
    """A card as JSON values."""
    return {**asdict(card), "properties": list(card.properties)}


def make_card(data: Mapping[str, Any]) -> Card:
    """The card that card_json told; raises TypeError for what is none."""
    return Card(**{**data, "properties": tuple(data.get("properties", ()))})


def load_checkpoint(name: str | Path) -> tuple[Card, dict[str, np.ndarray]]:
    """The card and arrays of a shipped checkpoint, or of one in a folder; raises CheckpointError."""
    folder = find_checkpoint(name)
    card = read_card(folder)
    try:
        digest = _digest(folder / WEIGHTS)
        if digest != card.model_id:
            raise CheckpointError(folder, f"weights have sha256 {digest}, the card says {card.model_id}")
        return card, load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as exc:
        raise CheckpointError(folder, str(exc)) from exc


def find_checkpoint(name: str | Path) -> Path:
    """The folder of a shipped checkpoint by name, or the folder itself; raises CheckpointError."""
    for folder in (PRETRAINED / name, Path(name)):
        if (folder / CARD).is_file():
            return folder
    raise CheckpointError(name, f"not found; {', '.join(card.name for card in pretrained_cards())} are shipped")


def pretrained_cards() -> list[Card]:
    """The cards of all shipped checkpoints, by name."""
    return [read_card(path.parent) for path in sorted(PRETRAINED.glob(f"*/{CARD}"))]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
