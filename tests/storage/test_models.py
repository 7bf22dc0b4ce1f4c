from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select

from storage import models
from storage.engine import reading, transaction
from storage.errors import NotFound
from storage.models import fetch_checkpoint, find_stored, read_stored, record_model, store_checkpoint, stored_cards
from storage.tables import ModelTable, WeightsPartTable
from workers.cards import CARD, WEIGHTS, Card, load_checkpoint, save_checkpoint


def checkpoint(folder: Path, name: str, value: float) -> Card:
    arrays = {"x": np.full(300, value)}
    return save_checkpoint(folder, arrays, name=name, kind="learned-table", config={"unit": "GPa"}, tile=8)


def test_a_model_is_known_by_its_hash(engine) -> None:
    with transaction(engine) as session:
        record_model(session, "b" * 64, "predictor", {"tile": 256})
        record_model(session, "a" * 64, "generator", {})
        record_model(session, "b" * 64, "other name", {})
        models = session.execute(select(ModelTable.name, ModelTable.card).order_by(ModelTable.id)).all()
    assert [tuple(row) for row in models] == [("generator", {}), ("predictor", {"tile": 256})]


def test_weights_come_back_whole_from_their_parts(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "PART", 100)
    card = checkpoint(tmp_path / "made", "hardness", 1.5)
    with transaction(engine) as session:
        assert store_checkpoint(session, tmp_path / "made") == card
        assert len(session.scalars(select(WeightsPartTable.part)).all()) > 10
    with reading(engine) as session:
        assert find_stored(session, "hardness") == card and stored_cards(session) == [card]
        folder = fetch_checkpoint(session, card.model_id, tmp_path / "cache")
    assert load_checkpoint(folder)[0] == card
    assert (folder / WEIGHTS).read_bytes() == (tmp_path / "made" / WEIGHTS).read_bytes()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [card.model_id]


def test_what_is_cached_is_not_read_again(engine: Engine, tmp_path: Path) -> None:
    card = checkpoint(tmp_path / "made", "hardness", 1.5)
    with transaction(engine) as session:
        store_checkpoint(session, tmp_path / "made")
    with reading(engine) as session:
        folder = fetch_checkpoint(session, card.model_id, tmp_path / "cache")
        before = (folder / CARD).stat().st_mtime_ns
        assert fetch_checkpoint(session, card.model_id, tmp_path / "cache") == folder
    assert (folder / CARD).stat().st_mtime_ns == before


def test_a_name_means_its_latest_model_and_the_former_stays(engine: Engine, tmp_path: Path) -> None:
    first = checkpoint(tmp_path / "first", "hardness", 1.0)
    second = checkpoint(tmp_path / "second", "hardness", 2.0)
    for folder in ("first", "second", "second", "first"):
        with transaction(engine) as session:
            store_checkpoint(session, tmp_path / folder)
            found = find_stored(session, "hardness")
            assert found is not None and found.model_id == {"first": first, "second": second}[folder].model_id
            assert len(stored_cards(session)) == 1
    with reading(engine) as session:
        assert read_stored(session, second.model_id) == second
        assert load_checkpoint(fetch_checkpoint(session, second.model_id, tmp_path / "cache"))[0] == second


def test_what_is_not_there_is_told(engine: Engine, tmp_path: Path) -> None:
    with reading(engine) as session:
        assert find_stored(session, "hardness") is None and stored_cards(session) == []
        with pytest.raises(NotFound, match="sha256"):
            fetch_checkpoint(session, "0" * 64, tmp_path)
    assert list(tmp_path.glob("cache/*")) == []
