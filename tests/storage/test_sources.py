from hypothesis import given, settings
from hypothesis import strategies as st

from storage.engine import reading, transaction
from storage.sources import Slice, SourceCounts, add_slice, read_formulas, source_counts

FORMULAS = [f"Cs{n}I{n + 1}" for n in range(1, 101)]


def test_any_range_of_a_source_can_be_read(yard) -> None:
    cuts = [0, 1, 7, 40, 99, 100]
    with transaction(yard.engine) as session:
        for first, last in zip(cuts, cuts[1:], strict=False):
            add_slice(session, yard.campaign_id, Slice(first, tuple(FORMULAS[first:last]), invalid=1, duplicate=2))

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 100), st.integers(0, 110))
    def check(start: int, stop: int) -> None:
        with reading(yard.engine) as session:
            assert read_formulas(session, yard.campaign_id, start, stop) == FORMULAS[start:stop]

    check()
    with reading(yard.engine) as session:
        assert source_counts(session, yard.campaign_id) == SourceCounts(115, 100, 5, 10)


def test_a_slice_stored_again_changes_nothing(yard) -> None:
    with transaction(yard.engine) as session:
        for _ in range(2):
            assert add_slice(session, yard.campaign_id, Slice(0, tuple(FORMULAS), 3, 0))
        assert source_counts(session, yard.campaign_id).input == 103
        assert read_formulas(session, yard.campaign_id, 98, 200) == FORMULAS[98:]


def test_another_slice_in_its_place_is_told_and_not_stored(yard) -> None:
    with transaction(yard.engine) as session:
        add_slice(session, yard.campaign_id, Slice(0, tuple(FORMULAS), 3, 0))
        for other in (Slice(0, tuple(FORMULAS[1:]), 3, 0), Slice(0, tuple(FORMULAS), 2, 0)):
            assert not add_slice(session, yard.campaign_id, other)
        assert read_formulas(session, yard.campaign_id, 0, 100) == FORMULAS


def test_a_slice_may_hold_only_bad_lines(yard) -> None:
    with transaction(yard.engine) as session:
        add_slice(session, yard.campaign_id, Slice(0, (), 3, 0))
        assert source_counts(session, yard.campaign_id) == SourceCounts(3, 0, 3, 0)
        assert read_formulas(session, yard.campaign_id, 0, 10) == []


def test_a_source_that_is_no_file_has_no_slices(yard) -> None:
    with reading(yard.engine) as session:
        assert source_counts(session, yard.campaign_id) == SourceCounts(0, 0, 0, 0)
