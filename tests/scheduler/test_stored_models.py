"""A predictor of one's own from the database through a chunk into the answers to queries, in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import Engine

from scheduler.campaigns import create_campaign
from scheduler.flow import Role
from scheduler.hands import Hands
from scheduler.settings import load_settings
from scheduler.spec import parse_spec
from scheduler.stored_models import StoredLoader
from scheduler.tasks import Bench, work_on
from storage.chunks import Cut, NewChunk, add_chunks
from storage.engine import open_database, reading, transaction
from storage.errors import NotFound
from storage.failures import read_failures
from storage.leader import read_leader, take_leadership
from storage.models import store_checkpoint
from storage.moves import queue_chunk
from storage.queries import Query, columns, query
from storage.states import StageName
from workers.actors import Answer, LoadDelayed, Outcome
from workers.cards import Card, load_checkpoint, save_checkpoint
from workers.filters import parse_filter
from workers.learned_models import LearnedModel
from workers.models import load_model
from workers.pool import Use
from workers.predictors.calibration import recalibrate
from workers.predictors.network import Network
from workers.predictors.tuning.checkpoint import start_from, to_arrays, to_config
from workers.predictors.tuning.learner import Learner
from workers.predictors.tuning.sheet import Transform

FORMULAS = ["BaTe", "CaO", "CsPbI3", "GaAs", "NaCl", "Cu2S", "Fe0.62C0.38"]


class Desk:
    """Pools that compute where they are asked."""

    def __init__(self, url: str, model: object = None) -> None:
        self._url, self._model = url, model

    def pool(self, role: Role, name: str) -> "Desk":
        return Desk(self._url, load_model(name, "cpu"))

    def stored_pool(self, role: Role, card: Card) -> "Desk":
        return Desk(self._url, StoredLoader(self._url, card.model_id)(card.name, "cpu"))

    def warm(self) -> None:
        pass

    def run(  # as Pool.run
        self, method: str, items: Sequence[object], options: Mapping[str, object], batch: int, seconds: float, use: Use
    ) -> list[object]:
        use.add(Answer(Outcome.DONE), len(items))
        answers: list[object] = getattr(self._model, method)(items, **options)
        return answers


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'test.db'}")


def checkpoint(folder: Path, centre: float) -> Card:
    """A predictor as training makes it, but for the training: hardness around a centre."""
    start = start_from(*load_checkpoint("composition-predictor"))
    torch.manual_seed(0)
    network = Network(replace(start.trunk.config, tasks=1))
    torch.nn.init.normal_(network.head[-1].weight, std=0.1)  # type: ignore[arg-type]
    learner = Learner(start, Transform(False, centre, 3.0), False, [network])
    shape = recalibrate(np.random.default_rng(0).normal(0.0, 1.0, 500), np.ones(500)).to_json()
    fields = {"name": "hardness", "kind": "learned-table", "tile": 8, "properties": ("hardness",)}
    return save_checkpoint(folder, to_arrays(learner), config={**to_config(learner), "shape": shape}, **fields)


def screen(engine: Engine, url: str, tables: dict[str, object]) -> int:
    source = {"kind": "list", "formulas": FORMULAS}
    campaign = create_campaign(engine, parse_spec({"source": source, "predict": tables}, "test"))
    with transaction(engine) as session:
        epoch = take_leadership(session, "test", read_leader(session))
        assert epoch is not None
        cut = Cut(campaign, StageName.PREDICT, 0, len(FORMULAS), (NewChunk(0, len(FORMULAS)),))
        assert add_chunks(session, epoch, cut) and queue_chunk(session, epoch, campaign, 0, 0)
    work_on(campaign, Bench("w", engine, Hands(), Desk(url), 60.0, lambda why: None))  # type: ignore[arg-type]
    return campaign


def test_its_values_are_stored_filtered_by_and_asked_for(engine: Engine, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    card = checkpoint(tmp_path / "made", 10.0)
    with transaction(engine) as session:
        store_checkpoint(session, tmp_path / "made")
    tables = {"predictors": ["hardness"], "where": "P(hardness > 5) >= 0.01", "score": "hardness"}
    campaign = screen(engine, url, tables)
    with reading(engine) as session:
        rows = list(query(session, Query(parse_filter("hardness > 0"), campaign, "-hardness")))
        assert read_failures(session, campaign, 5) == [] and {"hardness", "hardness_std"} <= set(columns(session))
    model = load_model(str(tmp_path / "made"), "cpu")
    assert isinstance(model, LearnedModel)
    told = dict(zip(FORMULAS, model.predict(FORMULAS), strict=True))
    assert len(rows) > 3
    assert all((row["hardness"], row["hardness_std"]) == told[row["formula"]]["hardness"] for row in rows)  # type: ignore[index]
    assert [row["score"] for row in rows] == sorted((row["hardness"] for row in rows), reverse=True)
    kept = load_settings({}, url).model_folder / card.model_id
    assert load_checkpoint(kept)[0] == card


def test_what_the_database_lacks_cannot_be_loaded(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="sha256"):
        StoredLoader(f"sqlite:///{tmp_path / 'test.db'}", "0" * 64)("hardness", "cpu")


def test_a_database_that_is_away_delays_the_model_and_ends_nothing(tmp_path: Path) -> None:
    with pytest.raises(LoadDelayed, match="does not answer"):
        StoredLoader(f"postgresql://me@/name?host={tmp_path}", "0" * 64)("hardness", "cpu")


def test_a_node_that_has_the_weights_needs_no_database(engine: Engine, tmp_path: Path) -> None:
    card = checkpoint(tmp_path / "made", 20.0)
    with transaction(engine) as session:
        store_checkpoint(session, tmp_path / "made")
    loader = StoredLoader(f"sqlite:///{tmp_path / 'test.db'}", card.model_id)
    assert isinstance(loader(card.name, "cpu"), LearnedModel)
    engine.dispose()
    (tmp_path / "test.db").unlink()
    assert isinstance(loader(card.name, "cpu"), LearnedModel)
    assert "sqlite" not in repr(loader)
