from storage.candidates import NewCandidate, mark_surplus
from storage.engine import transaction
from storage.explanations import NewExplanation, read_explanations, record_explanations
from storage.profiles import read_profile
from workers.explanations import Explanation

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


def test_an_estimate_keeps_its_budget_and_errors(yard) -> None:
    yard.keep(NewCandidate("CsI", ("Cs", "I"), 1.0, {}))
    new = NewExplanation("CsI", "band_gap", "SV", 1, 1.0, 1.125, INTERACTIONS, "tokens", 900, (0.5, -0.0))
    with transaction(yard.engine) as session:
        record_explanations(session, yard.campaign_id, [new])
        (kept,) = read_profile(session, "CsI").explanations
    assert (kept["players"], kept["budget"], kept["errors"]) == ("tokens", 900, [0.5, 0.0])


def test_explanations_of_a_campaign_come_by_formula_without_work_done_ahead(yard) -> None:
    formulas = ["NaCl", "CsI", "KBr"]
    yard.keep(*(NewCandidate(formula, (formula[:-2], formula[-2:]), 1.0, {}) for formula in formulas))
    with transaction(yard.engine) as session:
        rows = [NewExplanation(formula, "band_gap", "k-SII", 2, 1.0, 1.125, INTERACTIONS) for formula in formulas]
        record_explanations(session, yard.campaign_id, rows)
        mark_surplus(session, yard.campaign_id, ["KBr"])
        found = list(read_explanations(session, yard.campaign_id))
    assert found == [
        Explanation(formula, "band_gap", "k-SII", 2, 1.0, 1.125, INTERACTIONS) for formula in ("CsI", "NaCl")
    ]
