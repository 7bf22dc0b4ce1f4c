"""Masks of Wyckoff positions: everything that can be finished is allowed, nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.generator.symmetry.placement import choices, holds, places


def brute(group: int, owed: tuple[int, ...], used: frozenset[int] = frozenset(), start: int = 0) -> bool:
    """Whether everything can be placed, by trying all there is."""
    if not owed:
        return True
    if not owed[0]:
        return brute(group, owed[1:], used)
    table = places(group)
    for index in range(start, len(table.sizes)):
        if table.sizes[index] > owed[0] or (table.single[index] and index in used):
            continue
        left = (owed[0] - table.sizes[index], *owed[1:])
        if brute(group, left, used | {index} if table.single[index] else used, index):
            return True
    return False


groups = st.sampled_from([2, 14, 47, 62, 123, 166, 191, 194, 216, 221, 225, 227, 230])
counts = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)


@settings(max_examples=150, deadline=None)
@given(groups, counts)
def test_holds_agrees_with_trying_everything(group: int, owed: tuple[int, ...]) -> None:
    assert holds(group, owed) == brute(group, owed)


@settings(max_examples=100, deadline=None)
@given(groups, counts, st.randoms(use_true_random=False))
def test_any_allowed_choice_can_be_finished(group: int, owed: tuple[int, ...], random: object) -> None:
    if not holds(group, owed):
        return
    table, used, start = places(group), frozenset[int](), 0
    while owed:
        allowed = choices(group, owed, start, used)
        assert allowed, "a dead end"
        index = random.choice(allowed)  # type: ignore[attr-defined]
        assert not (table.single[index] and index in used)
        used |= {index} if table.single[index] else set()
        owed = (owed[0] - table.sizes[index], *owed[1:])
        start = index
        if not owed[0]:
            owed, start = owed[1:], 0


def test_a_position_without_freedom_is_used_once() -> None:
    assert holds(221, (1, 1))  # 1a and 1b
    assert not holds(221, (1, 1, 1))
    assert not holds(225, (1, 1, 1))  # 4a and 4b only, a third element needs 8c
    assert holds(225, (1, 1, 2))


def test_what_is_infeasible_later_is_masked_now() -> None:
    first = choices(221, (2, 1), 0, frozenset())
    assert first == ()  # two atoms of one element would take both 1a and 1b
    assert places(221).sizes[choices(221, (3, 1, 1), 0, frozenset())[0]] == 3


def test_large_cells_are_settled_as_well() -> None:
    assert holds(1, (20, 24, 20))  # without symmetry anything has a place
    assert holds(2, (1,) * 8)  # the eight inversion centres
    assert not holds(2, (1,) * 9)
    assert holds(230, (12, 8, 12, 32 - 8)) == brute(230, (12, 8, 12, 24))
    assert holds(225, (1, 1, 62)) and not holds(227, (1, 1, 62))
