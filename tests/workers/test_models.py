"""Loading by kind, and refusals by item."""

from pathlib import Path

import numpy as np
import pytest

from workers.cards import save_checkpoint
from workers.errors import CheckpointError
from workers.models import accepted, find_card, load_model


def test_unknown_kind_is_told_with_the_known_ones(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"a": np.zeros(1)}, name="x", kind="horoscope", config={}, tile=1)
    assert find_card(str(tmp_path)).kind == "horoscope"
    with pytest.raises(CheckpointError, match="kind 'horoscope'; composition-predictor, crystal-generator"):
        load_model(str(tmp_path), "cpu")


def test_accepted_leaves_out_what_is_refused() -> None:
    assert accepted(["a", "b", "c"], [None, "no", None]) == ["a", "c"]
