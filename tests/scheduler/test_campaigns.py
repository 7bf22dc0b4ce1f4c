"""Campaigns: everything that decides their results stands with them; moves that make no sense are told."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from scheduler.campaigns import (
    cancel_campaign,
    check_models,
    code_version,
    create_campaign,
    pause_campaign,
    resume_campaign,
)
from scheduler.errors import CampaignStands, InvalidSpec, OtherModels
from scheduler.spec import CampaignSpec, parse_spec
from scheduler.stored_models import own_models
from storage.campaigns import list_campaigns, move_campaign, read_campaign
from storage.engine import open_database, reading, transaction
from storage.errors import NotFound
from storage.models import campaign_models, store_checkpoint
from storage.stages import read_stages
from storage.states import CampaignState, StageName
from workers.cards import find_checkpoint, read_card, save_checkpoint, write_card
from workers.models import find_card


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'test.db'}")


@pytest.fixture
def spec() -> CampaignSpec:
    tables = {
        "name": "test",
        "seed": 5,
        "source": {"kind": "enumerate", "cations": ["Cu", "In"], "anions": ["S"]},
        "csp": {},
    }
    return parse_spec(tables, "test")


def test_spec_seed_code_and_models_stand_with_the_campaign(engine: Engine, spec: CampaignSpec) -> None:
    campaign_id = create_campaign(engine, spec)
    with reading(engine) as session:
        campaign = read_campaign(session, campaign_id)
        stages = read_stages(session, campaign_id)
        roles = campaign_models(session, campaign_id)
    assert campaign_id == 1 and campaign.state == CampaignState.RUNNING
    assert CampaignSpec.model_validate(campaign.spec) == spec
    assert (campaign.seed, campaign.code_version) == (5, code_version())
    assert [stage.name for stage in stages] == [StageName.PREDICT, StageName.CSP, StageName.JUDGE]
    assert roles == {
        "composition": find_card("composition-predictor").model_id,
        "generator": find_card("crystal-generator").model_id,
        "structure": find_card("structure-predictor").model_id,
    }


def test_missing_model_is_told_before_anything_is_stored(engine: Engine, spec: CampaignSpec) -> None:
    missing = spec.model_copy(update={"judge": spec.judge.model_copy(update={"model": "oracle"})})
    with pytest.raises(InvalidSpec, match="checkpoint oracle: not found"):
        create_campaign(engine, missing)
    with reading(engine) as session:
        assert list_campaigns(session) == []


def test_a_campaign_keeps_the_predictor_with_which_it_began(engine: Engine, spec: CampaignSpec, tmp_path: Path) -> None:
    asked = spec.model_copy(update={"predict": spec.predict.model_copy(update={"predictors": ["hardness"]})})
    with pytest.raises(InvalidSpec, match="'hardness' is no predictor of this database"):
        create_campaign(engine, asked)
    ids = [store(engine, tmp_path / name, value) for name, value in (("first", 1.0), ("second", 2.0))]
    with transaction(engine) as session:
        store_checkpoint(session, tmp_path / "first")
    campaign_id = create_campaign(engine, asked)
    with transaction(engine) as session:
        store_checkpoint(session, tmp_path / "second")
    with reading(engine) as session:
        assert own_models(session, campaign_id, asked)["hardness"].model_id == ids[0] != ids[1]
        check_models(engine, read_campaign(session, campaign_id))


def store(engine: Engine, folder: Path, value: float) -> str:
    fields = {"name": "hardness", "kind": "learned-table", "config": {}, "tile": 8, "properties": ("hardness",)}
    card = save_checkpoint(folder, {"x": np.full(3, value)}, **fields)
    with transaction(engine) as session:
        store_checkpoint(session, folder)
    return card.model_id


def test_model_of_another_kind_is_told_with_those_that_fit(engine: Engine, spec: CampaignSpec) -> None:
    assert spec.csp is not None
    wrong = spec.model_copy(update={"csp": spec.csp.model_copy(update={"model": "composition-predictor"})})
    with pytest.raises(InvalidSpec, match="a crystal-generator or materium-generator or crystallm-generator"):
        create_campaign(engine, wrong)


def test_campaign_goes_on_with_the_weights_it_began_with_or_not_at_all(
    engine: Engine, spec: CampaignSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_checkpoint("composition-predictor"), folder)
    own = spec.model_copy(update={"predict": spec.predict.model_copy(update={"model": str(folder)})})
    campaign = create_campaign(engine, own)
    with reading(engine) as session:
        stored = read_campaign(session, campaign)
    check_models(engine, stored)
    write_card(folder, replace(read_card(folder), model_id="f" * 64))
    with pytest.raises(OtherModels, match="began with composition-predictor"):
        check_models(engine, stored)


def test_pause_resume_cancel(engine: Engine, spec: CampaignSpec) -> None:
    campaign = create_campaign(engine, spec)
    assert pause_campaign(engine, campaign).state == CampaignState.PAUSED
    assert resume_campaign(engine, campaign).state == CampaignState.RUNNING
    assert resume_campaign(engine, campaign).state == CampaignState.RUNNING
    assert cancel_campaign(engine, campaign).state == CampaignState.CANCELLED
    with pytest.raises(CampaignStands, match="campaign 1 is cancelled and cannot become running"):
        resume_campaign(engine, campaign)


def test_failed_campaign_can_go_on_and_done_stays_done(engine: Engine, spec: CampaignSpec) -> None:
    campaign = create_campaign(engine, spec)
    with transaction(engine) as session:
        move_campaign(session, campaign, CampaignState.FAILED, 0.0)
    assert resume_campaign(engine, campaign).state == CampaignState.RUNNING
    with transaction(engine) as session:
        move_campaign(session, campaign, CampaignState.DONE, 0.0)
    assert resume_campaign(engine, campaign).state == CampaignState.DONE
    with pytest.raises(CampaignStands, match="is done and cannot become paused"):
        pause_campaign(engine, campaign)


def test_unknown_campaign_is_told(engine: Engine) -> None:
    with pytest.raises(NotFound):
        pause_campaign(engine, 7)
