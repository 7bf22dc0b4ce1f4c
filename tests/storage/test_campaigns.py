import pytest

from storage.campaigns import (
    NewCampaign,
    create_campaign,
    list_campaigns,
    move_campaign,
    read_campaign,
)
from storage.engine import reading, transaction
from storage.errors import NotFound
from storage.models import campaign_models, record_model
from storage.stages import read_stages
from storage.states import CampaignState, StageName

SPEC = {"name": "Ünïcode", "where": "band_gap > 1", "top": 50, "elements": ["Cs", "Pb"], "none": None}


def test_campaigns_count_from_one_and_keep_their_spec(engine) -> None:
    new = NewCampaign("solar", SPEC, 2**63 - 1, "0.1.0", (StageName.EXPLAIN, StageName.PREDICT), 1_000)
    with transaction(engine) as session:
        assert [create_campaign(session, new, now=12.5) for _ in range(2)] == [1, 2]
    with reading(engine) as session:
        campaign = read_campaign(session, 1)
        stages = read_stages(session, 1)
    assert (campaign.spec, campaign.seed, campaign.created_at) == (SPEC, 2**63 - 1, 12.5)
    assert list(campaign.spec) == list(SPEC)
    assert [(stage.name, stage.source_size) for stage in stages] == [("predict", 1_000), ("explain", None)]


def test_models_stand_with_the_campaign(engine) -> None:
    models = (("composition", "ab12"), ("generator", "cd34"))
    with transaction(engine) as session:
        for role, model_id in models:
            record_model(session, model_id, role, {})
        campaign_id = create_campaign(session, NewCampaign("a", {}, 0, "", (), None, models), 0.0)
        assert campaign_models(session, campaign_id) == dict(models)


def test_a_campaign_moves_only_along_the_table(yard) -> None:
    def move(to: CampaignState) -> bool:
        with transaction(yard.engine) as session:
            return move_campaign(session, yard.campaign_id, to, now=9.0)

    assert not move(CampaignState.RUNNING)
    assert move(CampaignState.PAUSED)
    assert not move(CampaignState.DONE)
    assert move(CampaignState.RUNNING)
    assert move(CampaignState.DONE)
    assert not move(CampaignState.CANCELLED)
    with reading(yard.engine) as session:
        assert read_campaign(session, yard.campaign_id).finished_at == 9.0
        assert len(list_campaigns(session)) == 1


def test_an_unknown_campaign_is_one_line(engine) -> None:
    with reading(engine) as session, pytest.raises(NotFound, match="campaign 7: not found"):
        read_campaign(session, 7)
