import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidScore
from workers.scores import evaluate, names_of, parse_score

COLUMNS = {"band_gap": np.array([1.0, 1.34, np.nan]), "e_above_hull": np.array([0.1, 0.0, 0.0])}


def scores(text: str) -> list[float]:
    return list(evaluate(parse_score(text), COLUMNS, 3))


def test_an_expression_means_what_arithmetic_means() -> None:
    assert scores("-e_above_hull") == [-0.1, 0.0, 0.0]
    assert scores("-2 * e_above_hull - abs(band_gap - 1.34)")[:2] == pytest.approx([-0.54, 0.0])
    assert scores("max(band_gap, 1.2) ** 2")[0] == pytest.approx(1.44)
    assert scores("1") == [1.0, 1.0, 1.0]
    assert names_of(parse_score("abs(band_gap) + e_above_hull_std")) == {"band_gap", "e_above_hull_std"}


def test_what_has_no_finite_value_ranks_last() -> None:
    assert scores("band_gap")[2] == -np.inf
    assert scores("log(e_above_hull)")[1] == -np.inf
    assert scores("1 / e_above_hull")[1] == -np.inf


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "not an expression"),
        ("bandgap", "'bandgap'"),
        ("__import__('os').system('true')", "not accepted"),
        ("band_gap.real", "not accepted"),
        ("[1, 2]", "not accepted"),
        ("abs(1, 2)", "not accepted"),
        ("'text'", "not accepted"),
        ("band_gap if 1 else 2", "not accepted"),
        ("True", "not accepted"),
        ("-" * 100_000 + "1", "not an expression"),
        ("-" * 2_000 + "band_gap", "at most 100 levels"),
        ("9" * 400, "not accepted"),
        ("1e999", "not accepted"),
    ],
)
def test_anything_else_is_refused_with_its_name(text: str, named: str) -> None:
    with pytest.raises(InvalidScore, match="accepted") as caught:
        parse_score(text)
    assert named in str(caught.value)


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(InvalidScore):
        evaluate(parse_score(text, frozenset(COLUMNS)), COLUMNS, 3)
