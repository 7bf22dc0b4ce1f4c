"""Probabilities in filters of screens: how they are written, what they select, what is told of wrong ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.cards import Card
from workers.errors import InvalidFilter
from workers.filter_tree import And, Chance, Compare, Has, Not
from workers.filters import evaluate, parse_filter, properties_of, renamed
from workers.predictors.calibration import Certainty, recalibrate
from workers.probabilities import Distribution, chance_columns, distributions, parse_screen_filter

GAPS = np.array([0.0, 0.9, 1.4, 2.5, np.nan])
STDS = np.array([0.05, 0.2, 0.2, 0.4, 0.1])
COLUMNS = {"band_gap": GAPS, "band_gap_std": STDS}
ELEMENTS = [frozenset({"Te"}), frozenset({"Pb", "I"}), frozenset({"Cd", "Te"}), frozenset({"Cl"}), frozenset({"O"})]


def selected(text: str, shapes: dict[str, Distribution] | None = None) -> list[int]:
    tree = parse_screen_filter(text)
    columns = COLUMNS | chance_columns(tree, COLUMNS, shapes or {})
    return np.flatnonzero(evaluate(tree, columns, ELEMENTS)).tolist()


def chances(inside: str, shapes: dict[str, Distribution] | None = None) -> np.ndarray:
    (found,) = chance_columns(parse_screen_filter(f"P({inside}) >= 0.5"), COLUMNS, shapes or {}).values()
    return found


@pytest.mark.parametrize(
    "text",
    [
        "P(1.0 <= band_gap <= 1.8) >= 0.3",
        "P(1.8 >= band_gap >= 1.0) >= 0.3",
        "P( 1 ≤ _sluice_band_gap ≤ 1.8 ) ≥ 0.3",
        "0.3 <= P(1.0<=band_gap<=1.8)",
    ],
)
def test_one_probability_in_many_spellings(text: str) -> None:
    tree = parse_screen_filter(text)
    assert isinstance(tree, Chance)
    assert (tree.property, set(tree.within)) == ("band_gap", {(">=", 1.0), ("<=", 1.8)})
    assert (tree.op, tree.value) == (">=", 0.3)


def test_probabilities_stand_among_other_comparisons() -> None:
    tree = parse_screen_filter('P(band_gap > 1) >= 0.5 AND NOT elements HAS "Pb" AND formula != "P(x > 1)"')
    assert tree == And(
        (
            Chance("band_gap", ((">", 1.0),), ">=", 0.5),
            Not(Has("elements", "ALL", ("Pb",))),
            Compare("formula", "!=", "P(x > 1)"),
        )
    )
    assert properties_of(tree) == {"band_gap", "elements", "formula"}
    assert properties_of(renamed(tree, lambda name: f"structure_{name}")) >= {"structure_band_gap"}


def test_a_filter_without_probabilities_is_the_same_filter() -> None:
    text = 'band_gap >= 1 AND (elements HAS ANY "Te", "O" OR nelements = 2)'
    assert parse_screen_filter(text) == parse_filter(text)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("P(1.0 <= band_gap <= 1.8) >= 0.3", [1, 2]),
        ("P(1.0 <= band_gap <= 1.8) >= 0.5", [2]),
        ("P(band_gap > 1) >= 0.5", [2, 3]),
        ('P(band_gap > 1) >= 0.3 AND elements HAS "Te"', [2]),
        ("P(band_gap > 1) < 0.01 OR band_gap > 2", [0, 3]),
        ("NOT P(band_gap > 1) >= 0.5", [0, 1, 4]),
        ("P(band_gap >= 0) >= 0.99", [0, 1, 2, 3]),
    ],
)
def test_a_probability_selects_what_it_says(text: str, rows: list[int]) -> None:
    assert selected(text) == rows


@given(st.floats(-1, 3), st.floats(0, 2))
def test_probabilities_add_up(low: float, width: float) -> None:
    within, below, above = (
        chances(f"{low:.6f} <= band_gap <= {low + width:.6f}"),
        chances(f"band_gap < {low:.6f}"),
        chances(f"band_gap > {low + width:.6f}"),
    )
    known = ~np.isnan(GAPS)
    np.testing.assert_allclose((within + below + above)[known], 1.0, atol=1e-5)
    assert np.isnan(within[~known]).all()


def test_a_gap_is_never_negative() -> None:
    assert chances("band_gap < 0")[:4].tolist() == [0.0] * 4
    assert chances("band_gap >= 0")[:4].tolist() == [1.0] * 4
    assert chances("band_gap <= 0")[0] == pytest.approx(1 - chances("band_gap > 0")[0])


def test_the_shape_of_a_models_errors_is_used_where_it_is_known() -> None:
    rng = np.random.default_rng(0)
    shape = recalibrate(rng.normal(0.0, 3.0, 4000), np.ones(4000))  # stds that are three times too small
    card = Card("m", "k", "0", {"shapes": {"band_gap": shape.to_json()}}, 1, ("band_gap",))
    hopeful, honest = chances("band_gap > 1"), chances("band_gap > 1", distributions([card]))
    assert hopeful[2] > 0.97 and 0.6 < honest[2] < 0.9


def test_classes_are_zero_or_one() -> None:
    columns = {"metal": np.array([0.1, 0.5, 0.9]), "metal_std": np.array([0.3, 0.5, 0.3])}
    card = Card("metal", "k", "0", {"certainty": {"slope": 1.0, "offset": 0.0}}, 1, ("metal",))
    shapes = distributions([card])
    assert isinstance(shapes["metal"], Certainty)
    for inside, found in [("metal >= 1", [0.1, 0.5, 0.9]), ("metal < 0.5", [0.9, 0.5, 0.1]), ("metal <= 1", [1.0] * 3)]:
        (mine,) = chance_columns(parse_screen_filter(f"P({inside}) > 0.5"), columns, shapes).values()
        np.testing.assert_allclose(mine, found, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("P(band_gap > 1) >= 3", ["3", "from 0 to 1"]),
        ("P(band_gap > 1) >= -0.1", ["-0.1", "from 0 to 1"]),
        ('P(band_gap > 1) >= "a"', ["number from 0 to 1"]),
        ("P(band_gap > 1) IS KNOWN", ["number from 0 to 1"]),
        ("P(band_gap > 1)", ["P(band_gap > 1", "is expected"]),
        ("P(band_gap) > 0.5", ["P(band_gap)"]),
        ("P(band_gap = 1) > 0.5", ["P(band_gap = 1)"]),
        ("P(2 <= band_gap <= 1) > 0.5", ["from 2 to 1"]),
        ("P(1 <= band_gap >= 2) > 0.5", ["one lower and one upper bound"]),
        ("P(band_gap > 1 AND density > 2) > 0.5", ["band_gap > 1 AND"]),
        ("P((band_gap) > 1) > 0.5", ["parentheses"]),
        ("P(band_gap > 1 > 0.5", ["does not end"]),
        (f"P(band_gap > 1.{'5' * 600}) > 0.5", ["P(band_gap > 1.555"]),
        ("P(band_gap > 1) >= 0.5 ANDD x", ["ANDD"[-2:]]),
    ],
)
def test_a_mistake_is_one_line_with_an_example(text: str, words: list[str]) -> None:
    with pytest.raises(InvalidFilter) as raised:
        parse_screen_filter(text)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in [text[:9], *words]), message
    assert "P(band_gap > 1) >= 0.5 is expected" in message or "from 0 to 1" in message


def test_what_would_take_long_is_refused_at_once() -> None:
    with pytest.raises(InvalidFilter, match="50,000 are accepted"):
        parse_screen_filter(f"P({'1' * 60_000}x) > 0.5")


def test_elsewhere_probabilities_are_said_to_be_for_screens() -> None:
    with pytest.raises(InvalidFilter, match="for screens"):
        parse_filter("P(band_gap > 1) >= 0.5")
