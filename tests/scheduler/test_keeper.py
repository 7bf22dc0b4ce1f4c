"""The keeper: no work, no machine; a campaign that cannot run here is paused, and admitted once it can."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.campaigns import create_campaign, resume_campaign
from scheduler.keeper import Keeper, keeping
from scheduler.processes import PID_FILE
from scheduler.settings import Settings, load_settings
from scheduler.spec import parse_spec
from storage.campaigns import read_campaign
from storage.engine import open_database, reading
from storage.stages import read_stages
from storage.states import CampaignState
from workers.cards import find_checkpoint, read_card, write_card


class Parts:
    """A machine that is always well."""

    def check(self, now: float) -> None:
        """Nothing died."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"SLUICE_DATABASE_URL": f"sqlite:///{tmp_path / 'k.db'}"})


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = open_database(settings.database_url)
    yield engine
    engine.dispose()


def state_of(engine: Engine, campaign_id: int) -> CampaignState:
    with reading(engine) as session:
        return read_campaign(session, campaign_id).state


def test_without_work_nothing_is_started(settings: Settings, engine: Engine) -> None:
    before = threading.active_count()
    with keeping(settings, engine):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert not (settings.folder / PID_FILE).exists()


def test_a_keeper_outlives_what_nobody_foresaw(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[int] = []
    again = threading.Event()

    def look(keeper: Keeper) -> list[int]:
        looks.append(1)
        if len(looks) == 1:
            raise KeyError("strange")
        again.set()
        return []

    monkeypatch.setattr("scheduler.keeper.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(Keeper, "_running", look)
    with keeping(settings, engine):
        assert again.wait(60)
    assert "strange" in caplog.text


def test_a_campaign_of_other_weights_is_paused_until_they_are_back(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_checkpoint("composition-predictor"), folder)
    spec = {"source": {"kind": "list", "formulas": ["CsI"]}, "predict": {"model": str(folder)}}
    campaign = create_campaign(engine, parse_spec(spec, "test"))
    card, keeper = read_card(folder), Keeper(settings, engine)
    write_card(folder, replace(card, model_id="f" * 64))
    assert keeper._tend(Parts())  # type: ignore[arg-type]
    assert state_of(engine, campaign) == CampaignState.PAUSED
    assert not keeper._tend(Parts())  # type: ignore[arg-type]
    write_card(folder, card)
    resume_campaign(engine, campaign)
    assert keeper._tend(Parts())  # type: ignore[arg-type]
    assert state_of(engine, campaign) == CampaignState.RUNNING
    assert keeper.admitted == {campaign}


def test_a_file_that_nobody_read_yet_is_read(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("formula\nCsI\nPbI2\n")
    source = {"kind": "file", "path": str(tmp_path / "mine.csv")}
    campaign = create_campaign(engine, parse_spec({"source": source}, "test"))
    assert Keeper(settings, engine)._tend(Parts())  # type: ignore[arg-type]
    with reading(engine) as session:
        assert read_stages(session, campaign)[0].source_size == 2
