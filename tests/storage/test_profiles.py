import pytest

from storage.candidates import NewCandidate
from storage.engine import reading, transaction
from storage.errors import NotFound
from storage.failures import NewFailure, record_failures
from storage.profiles import read_profile
from storage.states import StageName

ROW = NewCandidate("CsI", ("I", "Cs"), 0.5, {"band_gap": (1.5, 0.1), "hardness": (2.0, None)})


def test_a_profile_holds_all_that_is_known(yard) -> None:
    yard.keep(ROW)
    with transaction(yard.engine) as session:
        failure = NewFailure(StageName.CSP, "CsI", "sample 3", "failed", "atoms too close")
        record_failures(session, yard.campaign_id, [failure])
        profile = read_profile(session, "CsI")
        assert read_profile(session, str(profile.id)) == profile
        assert read_profile(session, "CsI", yard.campaign_id) == profile
    assert profile.elements == ("Cs", "I")
    assert profile.predictions == {"band_gap": (1.5, 0.1), "hardness": (2.0, None)}
    assert [row.reason for row in profile.failures] == ["atoms too close"]
    assert (profile.structures, profile.explanations) == ((), ())


@pytest.mark.parametrize("asked", ["KCl", "77", "99999999999999999999999", "²"])
def test_what_is_not_there_is_one_line(yard, asked: str) -> None:
    with reading(yard.engine) as session, pytest.raises(NotFound, match="not found"):
        read_profile(session, asked)
