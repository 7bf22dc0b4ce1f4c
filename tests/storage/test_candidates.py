from math import nan

import pytest
from sqlalchemy import text

from storage.candidates import (
    Judgement,
    NewCandidate,
    candidate_ids,
    mark_surplus,
    record_candidates,
    record_judgements,
)
from storage.chunks import NewChunk
from storage.engine import reading, transaction
from storage.profiles import read_profile
from storage.queries import Query, query

CSPBI = NewCandidate("CsPbI3", ("Cs", "Pb", "I"), 0.1 + 0.2, {"band_gap": (1 / 3, 0.1), "hardness": (2.5, None)})
KCL = NewCandidate("KCl", ("K", "Cl"), None, {"band_gap": (nan, nan)})


def rows(yard) -> list[dict]:
    with reading(yard.engine) as session:
        return list(query(session, Query(campaign_id=yard.campaign_id)))


def test_values_come_back_to_the_bit(yard) -> None:
    yard.keep(CSPBI)
    (row,) = rows(yard)
    assert (row["score"], row["band_gap"], row["band_gap_std"]) == (0.1 + 0.2, 1 / 3, 0.1)
    assert (row["hardness"], row["hardness_std"]) == (2.5, None)
    assert row["e_above_hull"] is None


def test_not_a_number_is_unknown(yard) -> None:
    yard.keep(KCL)
    (row,) = rows(yard)
    assert (row["score"], row["band_gap"], row["band_gap_std"]) == (None, None, None)


def test_zero_has_no_sign_on_any_database(yard) -> None:
    yard.keep(NewCandidate("CsI", ("Cs", "I"), -0.0, {"band_gap": (-0.0, 0.1), "hardness": (-0.0, 0.2)}))
    (row,) = rows(yard)
    assert [str(row[name]) for name in ("score", "band_gap", "hardness")] == ["0.0"] * 3


def test_a_formula_is_a_candidate_once(yard) -> None:
    first = yard.keep(CSPBI)
    yard.add(NewChunk(10, 12))
    chunk = yard.run()
    assert yard.finish(chunk, [KCL, CSPBI]) == ["KCl"]
    with transaction(yard.engine) as session:
        assert record_candidates(session, yard.campaign_id, first.id, [CSPBI]) == ["CsPbI3"]
    assert sorted(row["formula"] for row in rows(yard)) == ["CsPbI3", "KCl"]


def test_a_verdict_adds_what_the_structure_says(yard) -> None:
    yard.keep(CSPBI, KCL)
    judged = {"structure_band_gap": (1.4, 0.2), "structure_hardness": (3.0, 0.5)}
    with transaction(yard.engine) as session:
        record_judgements(session, yard.campaign_id, [Judgement("CsPbI3", "keep", None, judged)])
        record_judgements(session, yard.campaign_id, [])
        profile = read_profile(session, "CsPbI3")
    assert profile.verdict == "keep"
    assert profile.predictions["structure_band_gap"] == (1.4, 0.2)
    assert profile.predictions["structure_hardness"] == (3.0, 0.5)
    assert profile.predictions["band_gap"] == (1 / 3, 0.1)
    assert {row["formula"]: row["verdict"] for row in rows(yard)} == {"CsPbI3": "keep", "KCl": None}


def test_surplus_is_nowhere_to_be_seen(yard) -> None:
    yard.keep(CSPBI, KCL)
    with transaction(yard.engine) as session:
        mark_surplus(session, yard.campaign_id, ["KCl"])
    assert [row["formula"] for row in rows(yard)] == ["CsPbI3"]


def test_ids_of_more_formulas_than_one_statement_holds(yard) -> None:
    yard.keep(CSPBI)
    with reading(yard.engine) as session:
        found = candidate_ids(session, yard.campaign_id, [f"X{n}" for n in range(40_000)] + ["CsPbI3"])
    assert list(found) == ["CsPbI3"]


def test_a_candidate_belongs_to_a_campaign(yard) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"), transaction(yard.engine) as session:
        record_candidates(session, 99, 99, [CSPBI])
    with reading(yard.engine) as session:
        assert session.scalar(text("SELECT count(*) FROM candidate")) == 0
