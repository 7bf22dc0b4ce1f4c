from storage.chunks import NewChunk
from storage.engine import transaction
from storage.stages import close_stage, set_source_size
from storage.states import StageName


def test_a_stage_closes_once_and_only_at_its_end(yard) -> None:
    with transaction(yard.engine) as session:
        assert not close_stage(session, yard.epoch, yard.campaign_id, StageName.PREDICT)
    yard.add(NewChunk(0, 10), exhausted=True)
    with transaction(yard.engine) as session:
        assert not close_stage(session, yard.epoch - 1, yard.campaign_id, StageName.PREDICT)
        assert close_stage(session, yard.epoch, yard.campaign_id, StageName.PREDICT)
        assert not close_stage(session, yard.epoch, yard.campaign_id, StageName.PREDICT)
    assert yard.stage().stage.closed
    assert not yard.stage(StageName.CSP).stage.closed


def test_the_source_belongs_to_the_first_stage(yard) -> None:
    with transaction(yard.engine) as session:
        set_source_size(session, yard.campaign_id, 42)
    assert yard.stage().stage.source_size == 42
    assert yard.stage(StageName.CSP).stage.source_size is None
