from pathlib import Path

import numpy as np
import pytest

from workers.cards import WEIGHTS, load_checkpoint, pretrained_cards, read_card, save_checkpoint
from workers.errors import CheckpointError

ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(3, dtype=np.float16)}


def test_what_was_saved_is_loaded_with_its_card(tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path, ARRAYS, name="n", kind="k", config={"width": 2}, tile=4, properties=("band_gap",))
    card, arrays = load_checkpoint(tmp_path)
    assert card == saved == read_card(tmp_path)
    assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, ARRAYS, name="n", kind="k", config={}, tile=4)
    data = bytearray((tmp_path / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        load_checkpoint(tmp_path)


def test_what_is_missing_is_named_with_what_is_shipped(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="composition-predictor"):
        load_checkpoint(tmp_path / "nowhere")
    save_checkpoint(tmp_path, ARRAYS, name="n", kind="k", config={}, tile=4)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


def test_every_shipped_checkpoint_matches_its_card_and_says_what_it_is() -> None:
    names = {card.name for card in pretrained_cards()}
    assert names >= {"composition-predictor", "crystal-generator", "structure-predictor"}
    for name in names:
        card, arrays = load_checkpoint(name)
        assert arrays and card.metrics and card.data and card.licence and card.held_out and card.command
        assert card.seconds > 0 and card.hardware
