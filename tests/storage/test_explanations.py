from storage.candidates import NewCandidate
from storage.engine import transaction
from storage.explanations import NewExplanation, record_explanations
from storage.profiles import read_profile

INTERACTIONS = ((("Cs",), 0.25), (("Cs", "I"), -0.125))


def test_an_explanation_is_kept_once_and_adds_up(yard) -> None:
    yard.keep(NewCandidate("CsI", ("Cs", "I"), 1.0, {}))
    new = NewExplanation("CsI", "band_gap", "k-SII", 2, 1.0, 1.125, INTERACTIONS)
    with transaction(yard.engine) as session:
        for _ in range(2):
            record_explanations(session, yard.campaign_id, [new])
        (kept,) = read_profile(session, "CsI").explanations
    assert kept["interactions"] == [[["Cs"], 0.25], [["Cs", "I"], -0.125]]
    assert kept["baseline"] + sum(number for _, number in kept["interactions"]) == kept["value"]


def test_an_explanation_without_its_candidate_is_not_kept(yard) -> None:
    with transaction(yard.engine) as session:
        record_explanations(session, yard.campaign_id, [NewExplanation("CsI", "band_gap", "SV", 1, 0, 0, ())])
