"""/v1/predict, /v1/generate and /v1/explain: campaigns of a few formulas, and what is refused."""

import numpy as np
import pytest

from storage.campaigns import move_campaign
from storage.candidates import NewCandidate, record_candidates
from storage.engine import transaction
from storage.failures import NewFailure, record_failures
from storage.models import store_checkpoint
from storage.states import CampaignState, StageName
from workers.cards import save_checkpoint


def finish(site, campaign_id: int) -> None:
    """Do a worker's work by hand: one formula is predicted, the other is not."""
    with transaction(site.engine) as session:
        record_candidates(session, campaign_id, 1, [NewCandidate("BaTe", ("Ba", "Te"), 1.0, {"band_gap": (1.6, 0.2)})])
        row = NewFailure(StageName.PREDICT, "CsPbI3", "", "failed", "out of luck")
        record_failures(session, campaign_id, [row])
        assert move_campaign(session, campaign_id, CampaignState.DONE, now=9.0)


def test_results_come_later_at_the_campaign(site) -> None:
    response = site.ask("POST", "/v1/predict", "run", {"formulas": ["CsPbI3", "Ba1 Te1", "TeBa"]})
    assert response.status == 202
    begun = response.json()
    assert response.headers["location"] == f"/v1/campaigns/{begun['campaign']}"
    assert (begun["state"], begun["results"]) == ("running", None)
    spec = site.get(response.headers["location"])["spec"]
    assert spec["source"]["formulas"] == ["CsPbI3", "BaTe"]
    finish(site, begun["campaign"])
    answer = site.get(f"/v1/predict/{begun['campaign']}")
    assert answer["state"] == "done"
    assert answer["results"] == [
        {"formula": "CsPbI3", "predictions": {}, "error": "out of luck"},
        {
            "formula": "BaTe",
            "predictions": {"band_gap": {"value": 1.6, "std": 0.2, "unit": "eV"}},
            "error": None,
        },
    ]


def test_the_same_key_waits_for_the_same_results(site) -> None:
    asked = ("POST", "/v1/predict", "run", {"formulas": ["BaTe", "CsPbI3"]})
    begun = site.ask(*asked, Idempotency_Key="k").json()
    finish(site, begun["campaign"])
    response = site.ask("POST", "/v1/predict?wait=30", *asked[2:], Idempotency_Key="k")
    assert response.status == 200
    assert response.json()["campaign"] == begun["campaign"]
    assert [result["formula"] for result in response.json()["results"]] == ["BaTe", "CsPbI3"]


def test_a_cancelled_campaign_says_so_for_each_formula(site) -> None:
    begun = site.ask("POST", "/v1/generate", "run", {"formulas": ["BaTe"]}).json()
    site.ask("POST", f"/v1/campaigns/{begun['campaign']}/cancel", "run")
    (result,) = site.get(f"/v1/generate/{begun['campaign']}")["results"]
    assert (result["structures"], result["error"]) == ([], "the campaign is cancelled")


def test_what_is_asked_becomes_the_campaign_s_spec(site, tmp_path) -> None:
    asked = {"formulas": ["BaTe"], "structures": 2, "space_group": 225, "seed": 3}
    spec = site.get(site.ask("POST", "/v1/generate", "run", asked).headers["location"])["spec"]
    assert (spec["seed"], spec["csp"]["structures"], spec["csp"]["space_group"]) == (3, 2, 225)
    fields = {"name": "hardness", "kind": "learned-table", "config": {}, "tile": 8, "properties": ("hardness",)}
    save_checkpoint(tmp_path, {"x": np.zeros(3)}, **fields)
    with transaction(site.engine) as session:
        store_checkpoint(session, tmp_path)
    asked = {"formulas": ["BaTe"], "predictors": ["hardness"]}
    spec = site.get(site.ask("POST", "/v1/predict", "run", asked).headers["location"])["spec"]
    assert spec["predict"]["predictors"] == ["hardness"]
    asked = {"formulas": ["BaTe", "CsPbI3"], "property": "e_above_hull", "index": "SV", "order": 1}
    spec = site.get(site.ask("POST", "/v1/explain", "run", asked).headers["location"])["spec"]
    assert (spec["explain"]["top"], spec["explain"]["property"], spec["explain"]["index"]) == (2, "e_above_hull", "SV")


@pytest.mark.parametrize(
    ("task", "asked", "words"),
    [
        ("predict", {"formulas": []}, ["body.formulas"]),
        ("predict", {"formulas": ["Xx2O"]}, ["Xx2O", "not an element"]),
        ("predict", {"formulas": ["\ud800"]}, ["no place in a formula"]),
        ("predict", {"formulas": ["BaTe"], "model": "/etc"}, ["/etc"]),
        ("predict", {"formulas": ["BaTe"], "model": "structure-predictor"}, ["structure-predictor"]),
        ("predict", {"formulas": ["BaTe"], "predictors": ["softness"]}, ["softness"]),
        ("predict", {"formulas": ["BaTe"], "mode": "x"}, ["mode"]),
        ("predict", {"formulas": ["BaTe"] * 101}, ["body.formulas", "100"]),
        ("generate", {"formulas": ["BaTe"], "structures": 0}, ["structures"]),
        ("generate", {"formulas": ["BaTe"], "space_group": 231}, ["space_group"]),
        ("generate", {"formulas": ["BaTe"], "top": 3}, ["top"]),
        ("generate", {"formulas": ["BaTe"], "density": -5}, ["density"]),
        ("explain", {"formulas": ["BaTe"], "property": "colour"}, ["property"]),
        ("explain", {"formulas": ["BaTe"], "order": 9}, ["order"]),
    ],
)
def test_what_cannot_be_asked_is_one_line(shown, task: str, asked: dict, words: list[str]) -> None:
    detail = shown.problem(422, "POST", f"/v1/{task}", "run", asked)["detail"]
    assert all(word in detail for word in words)


def test_readers_start_nothing_but_see_the_results(site) -> None:
    site.problem(403, "POST", "/v1/predict", "read", {"formulas": ["BaTe"]})
    site.problem(404, "GET", "/v1/predict/1", "read")
    site.problem(422, "POST", "/v1/predict?wait=1e9", "run", {"formulas": ["BaTe"]})
