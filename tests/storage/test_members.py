from hypothesis import given, settings
from hypothesis import strategies as st

from storage.candidates import NewCandidate, mark_surplus, mark_survivors
from storage.chunks import NewChunk
from storage.engine import reading, transaction
from storage.members import survivors, top_members, undrained_chunks
from storage.states import StageName

SCORES = {"Cs9I": 2.0, "CO": 3.0, "Co": 3.0, "AgI": None, "CsI": 1.0, "KCl": None, "Ba": -1e300, "B": 3.0}
BEST = ["B", "CO", "Co", "Cs9I", "CsI", "Ba", "AgI", "KCl"]


def stock(yard) -> None:
    rows = [NewCandidate(formula, ("Cs",), score, {}) for formula, score in SCORES.items()]
    yard.keep(*rows[:3])
    yard.keep(*rows[3:])


def test_members_are_the_best_then_the_first_by_formula(yard) -> None:
    stock(yard)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 9), st.integers(0, 8))
    def check(limit: int, taken: int) -> None:
        after = BEST[taken - 1] if taken else None
        with reading(yard.engine) as session:
            members = top_members(session, yard.campaign_id, StageName.PREDICT, limit, after)
        assert [member.formula for member in members] == BEST[taken : taken + limit]

    check()


def test_only_those_that_passed_the_stage_before_go_on(yard) -> None:
    stock(yard)
    with transaction(yard.engine) as session:
        mark_survivors(session, yard.campaign_id, StageName.CSP, ["CsI", "CO", "B"])
        mark_surplus(session, yard.campaign_id, ["B"])
        members = top_members(session, yard.campaign_id, StageName.CSP, 9)
    assert [member.formula for member in members] == ["CO", "CsI"]


def test_survivors_of_a_chunk_go_on_at_once(yard) -> None:
    stock(yard)
    yard.add(NewChunk(formulas=("KCl", "CsI", "CO")), stage=StageName.CSP)
    chunk = yard.run(StageName.CSP)
    yard.finish(chunk)
    with transaction(yard.engine) as session:
        mark_survivors(session, yard.campaign_id, StageName.CSP, ["KCl", "CO"])
        first, second = undrained_chunks(session, yard.campaign_id, StageName.PREDICT, 9)
        assert survivors(session, [first]) == ["CO", "Co", "Cs9I"]
        assert survivors(session, [first, second]) == sorted(SCORES)
        assert survivors(session, [chunk.id]) == ["CO", "KCl"]
        assert survivors(session, []) == []
