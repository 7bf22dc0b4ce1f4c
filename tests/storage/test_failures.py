from storage.engine import transaction
from storage.failures import NewFailure, count_failures, read_failures, record_failures
from storage.states import StageName

BAD = NewFailure(StageName.PREDICT, "Xx2O", "line 40213", "invalid", "'Xx' is not an element")
AGAIN = NewFailure(StageName.PREDICT, "Xx2O", "line 40214", "invalid", "'Xx' is not an element")


def test_a_replay_doubles_nothing(yard) -> None:
    with transaction(yard.engine) as session:
        record_failures(session, yard.campaign_id, [AGAIN, BAD])
        record_failures(session, yard.campaign_id, [BAD])
        record_failures(session, yard.campaign_id, [])
        assert count_failures(session, yard.campaign_id) == {"invalid": 2}
        kept = read_failures(session, yard.campaign_id, 10)
    assert [row.place for row in kept] == ["line 40213", "line 40214"]
    assert kept[0].reason == BAD.reason


def test_failures_of_one_formula(yard) -> None:
    other = NewFailure(StageName.CSP, "CsI", "", "failed", "no valid structure")
    with transaction(yard.engine) as session:
        record_failures(session, yard.campaign_id, [BAD, other])
        assert [row.stage for row in read_failures(session, yard.campaign_id, 10, "CsI")] == [StageName.CSP]
        assert len(read_failures(session, yard.campaign_id, 1)) == 1
