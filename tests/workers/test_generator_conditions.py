"""What a crystal can be steered towards: scales, ranges, and one meaning in training and in writing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidCondition
from workers.generator.conditions import BY_NAME, CONDITIONS, check, scaled
from workers.generator.requests import CrystalRequest, Refusal, asked_formula, improper
from workers.generator.symmetry.dataset import condition_values
from workers.generator.symmetry.draft import PROMPTS, Draft, Plan
from workers.generator.symmetry.grammar import condition_rows
from workers.generator.symmetry.proposal import MOST_ELEMENTS, Proposal
from workers.generator.symmetry.vocabulary import CONDITION_AT, GROUP_AT, LEVELS, VALUES, Column, Role

NAMES = [condition.name for condition in CONDITIONS]
MIDDLE = {condition.name: (condition.low + condition.high) / 2 for condition in CONDITIONS}
SALT = [(17, 1), (11, 1)]


def values(rows: list[list[int]]) -> list[int]:
    assert all(row[Column.ROLE] == Role.CONDITION and row[Column.TARGET] == -1 for row in rows)
    return [row[Column.VALUE] for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_goes_from_nought_to_one(name: str) -> None:
    condition = BY_NAME[name]
    assert scaled(name, condition.low) == pytest.approx(0.0, abs=1e-12)
    assert scaled(name, condition.high) == pytest.approx(1.0)
    assert scaled(name, condition.low - 1) == pytest.approx(0.0, abs=1e-12)
    assert scaled(name, 2 * condition.high) == 1.0


@given(st.sampled_from(NAMES), st.floats(0, 1), st.floats(0, 1))
def test_more_of_a_quantity_is_higher_on_its_scale(name: str, first: float, second: float) -> None:
    low, high = BY_NAME[name].low, BY_NAME[name].high
    less, more = sorted((low + (high - low) * first, low + (high - low) * second))
    assert 0.0 <= scaled(name, less) <= scaled(name, more) <= 1.0
    if more - less > 1e-6 * (high - low):
        assert scaled(name, less) < scaled(name, more)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_in_range_is_accepted_and_nothing_else(name: str) -> None:
    condition = BY_NAME[name]
    for value in (condition.low, MIDDLE[name], condition.high):
        check(name, value)
    for value in (condition.low - 0.01, condition.high * 1.01, math.nan, math.inf, -math.inf):
        with pytest.raises(InvalidCondition, match=name) as raised:
            check(name, value)
        assert f"{condition.high:g}" in str(raised.value) and "\n" not in str(raised.value)
    assert condition.unit in str(raised.value)


def test_an_unknown_condition_is_told_what_is_known() -> None:
    with pytest.raises(InvalidCondition, match="beauty") as raised:
        check("beauty", 1.0)
    assert all(name in str(raised.value) for name in NAMES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"wanted": (("density", 99.0),)}, "density 99"),
        ({"wanted": (("density", math.nan),)}, "density nan"),
        ({"wanted": (("density", 5.0), ("beauty", 1.0))}, "beauty"),
        ({"space_group": 231}, "space group 231"),
        ({"space_group": 0}, "space group 0"),
        ({"space_group": -3}, "space group -3"),
        ({"units": 0}, "0 formula units"),
        ({"units": -1}, "-1 formula units"),
        ({"max_atoms": 0}, "at most 0 atoms"),
    ],
)
@pytest.mark.parametrize("formula", ["NaCl", None])
def test_an_improper_request_is_refused_in_one_line(
    formula: str | None, change: dict[str, object], reason: str
) -> None:
    request = CrystalRequest(formula, 1, **change)  # type: ignore[arg-type]
    for refusal in (improper(request), asked_formula(request, 64)):
        assert isinstance(refusal, Refusal)
        assert reason in refusal.reason and "\n" not in refusal.reason


def test_a_proper_request_gives_its_formula_heaviest_first() -> None:
    request = CrystalRequest("NaCl", 1, units=2, space_group=225, wanted=tuple(MIDDLE.items()))
    assert improper(request) is None
    assert asked_formula(request, 64) == SALT


@pytest.mark.parametrize(
    ("formula", "neutral"), [("NaCl", True), ("Fe2O3", True), ("LiFePO4", True), ("NaCl2", False), ("CuAu", False)]
)
def test_only_formulas_that_can_be_neutral_pass_when_asked(formula: str, neutral: bool) -> None:
    found = asked_formula(CrystalRequest(formula, 1, charge_balanced=True), 64)
    assert isinstance(found, Refusal) != neutral
    if isinstance(found, Refusal):
        assert "oxidation states" in found.reason and formula in found.reason
    assert not isinstance(asked_formula(CrystalRequest(formula, 1), 64), Refusal)


@pytest.mark.parametrize("name", NAMES)
def test_a_condition_has_levels_of_its_own(name: str) -> None:
    condition = BY_NAME[name]
    share = np.linspace(condition.low, condition.high, 500).tolist()
    levels = [values(condition_rows({name: value}, None))[0] for value in share]
    start = CONDITION_AT + LEVELS * NAMES.index(name)
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (start, start + LEVELS - 1)
    assert levels[-1] < VALUES


def test_conditions_change_the_prompt_and_hiding_them_leaves_the_formula() -> None:
    plain = Draft(Plan(SALT, (1,)), np.ones(119))
    steered = Draft(Plan(SALT, (1,), 225, MIDDLE), np.ones(119))
    assert steered.prompt(conditioned=False) == plain.prompt(conditioned=True) == plain.prompt(conditioned=False)
    told = steered.prompt(conditioned=True)
    assert told[-2:] == plain.prompt(conditioned=True)
    assert len(values(told[:-2])) == len(CONDITIONS) + 1
    proposal = Proposal(MIDDLE, 225, 20, neutral=False)
    assert proposal.prompt(conditioned=True) == told[:-2]
    assert proposal.prompt(conditioned=False) == []


def test_conditions_are_told_as_they_are_learnt() -> None:
    """The order counts as well: what stands in a prompt sees only what stands before it."""
    for group in (1, 225):
        assert values(condition_rows(MIDDLE, group)) == condition_values(dict(MIDDLE), group)
    back = dict(reversed(MIDDLE.items()))
    assert condition_rows(back, 225) == condition_rows(MIDDLE, 225)


def test_what_is_not_known_of_a_crystal_is_not_told() -> None:
    known = condition_values({"density": 5.0, "band_gap": None, "hhi": 1e6}, 62)
    assert [value >= 0 for value in known] == [True, False, False, False, False, True]
    assert known[-1] == GROUP_AT + 62
    assert condition_values({}, 62)[:-1] == [-1] * len(CONDITIONS)


def test_the_longest_prompt_has_room() -> None:
    longest = [(number, 1) for number in range(60, 60 - MOST_ELEMENTS, -1)]
    assert len(Draft(Plan(longest, (1,), 1, MIDDLE), np.ones(119)).prompt(conditioned=True)) <= PROMPTS[-1]
