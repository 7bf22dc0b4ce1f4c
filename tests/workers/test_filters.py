import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidFilter
from workers.filters import And, Compare, Has, Known, Not, Or, contradiction, evaluate, parse_filter, properties_of

GAPS = np.array([0.5, 1.0, 1.4, 1.8, np.nan])
HULLS = np.array([0.0, 0.05, np.nan, 0.2, 0.1])
FORMULAS = np.array(["BaTe", "CsPbI3", "CdTe", "NaCl", "CsPbBr3"])
ELEMENTS = [frozenset(s) for s in (["Ba", "Te"], ["Cs", "Pb", "I"], ["Cd", "Te"], ["Na", "Cl"], ["Cs", "Pb", "Br"])]
COLUMNS = {"band_gap": GAPS, "e_above_hull": HULLS, "formula": FORMULAS}


def selected(text: str) -> list[int]:
    return list(np.flatnonzero(evaluate(parse_filter(text), COLUMNS, ELEMENTS)))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("band_gap >= 1.0 AND band_gap <= 1.8", [1, 2, 3]),
        ("_sluice_band_gap > 1", [2, 3]),
        ("1 < band_gap", [2, 3]),
        ("band_gap IS UNKNOWN", [4]),
        ("band_gap IS KNOWN AND e_above_hull IS KNOWN", [0, 1, 3]),
        ("NOT band_gap > 1", [0, 1, 4]),
        ("band_gap < 1 OR e_above_hull > 0.06 AND band_gap > 1", [0, 3]),
        ("(band_gap < 1 OR e_above_hull > 0.06) AND band_gap > 1", [3]),
        ('elements HAS "Te"', [0, 2]),
        ('elements HAS ALL "Cs", "Pb"', [1, 4]),
        ('elements HAS ANY "Te", "Cl"', [0, 2, 3]),
        ('elements HAS ONLY "Na", "Cl", "Cs"', [3]),
        ('NOT elements HAS "Te"', [1, 3, 4]),
        ('chemical_formula_reduced = "CsPbI3"', [1]),
        ('formula STARTS WITH "Cs" AND formula ENDS WITH "I3"', [1]),
        ('formula CONTAINS "Pb"', [1, 4]),
    ],
)
def test_a_filter_selects_what_it_says(text: str, rows: list[int]) -> None:
    assert selected(text) == rows


def test_the_tree_and_its_names() -> None:
    tree = parse_filter('NOT (a > 1 OR b IS UNKNOWN) AND elements HAS "O" AND elements LENGTH >= 3')
    assert tree == And(
        (
            Not(Or((Compare("a", ">", 1.0), Known("b", False)))),
            Has("elements", "ALL", ("O",)),
            Compare("nelements", ">=", 3.0),
        )
    )
    assert properties_of(tree) == {"a", "b", "elements", "nelements"}


numbers = st.floats(-3, 3, allow_nan=False)
leaves = st.builds(
    Compare, st.sampled_from(["band_gap", "e_above_hull"]), st.sampled_from(["<", ">=", "=", "!="]), numbers
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda a, b: And((a, b)), inner, inner),
        st.builds(lambda a, b: Or((a, b)), inner, inner),
    ),
)


@given(trees)
def test_a_filter_and_its_negation_part_the_rows(tree: Compare | Not | And | Or) -> None:
    chosen = evaluate(tree, COLUMNS, ELEMENTS)
    assert np.array_equal(~chosen, evaluate(Not(tree), COLUMNS, ELEMENTS))


def test_de_morgan_holds_with_unknown_values() -> None:
    assert selected("NOT (band_gap > 1 AND e_above_hull > 0.01)") == selected(
        "(NOT band_gap > 1) OR (NOT e_above_hull > 0.01)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "band_gap",
        "band_gap >",
        "band_gap > 1 AND",
        'band_gap > "wide',
        "band_gap > TRUE",
        'formula HAS "Te"',
        "elements HAS < 3",
        "elements:elements HAS 'a'",
        "band_gap > 1 e_above_hull < 1",
        "band_gap CONTAINS 3",
        'band_gap > "a\\n"',
        'last_modified > "yesterday"',
        '"a" = "a"',
        'a:b HAS "x":"y"',
        "a.b = 1",
        "band_gap LENGTH 3",
        "1; DROP TABLE candidate",
        "((((",
        'elements HAS "Xx"',
        "elements > 3",
    ],
)
def test_a_bad_filter_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(text)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_mixed_kinds_are_refused_with_what_is_accepted() -> None:
    with pytest.raises(InvalidFilter, match="e_above_hull"):
        selected("bandgap > 1")
    with pytest.raises(InvalidFilter, match="text compares with text"):
        selected('band_gap > "1"')


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(InvalidFilter):
        properties_of(parse_filter(text))


def test_ranges_that_nothing_satisfies_are_found() -> None:
    assert "band_gap" in (contradiction(parse_filter("band_gap >= 1.8 AND band_gap <= 1.0")) or "")
    assert contradiction(parse_filter("band_gap >= 1.0 AND band_gap <= 1.8")) is None
    assert contradiction(parse_filter("band_gap >= 1.8 OR band_gap <= 1.0")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [(r'formula = "a\"b"', 'a"b'), (r'formula = "a\\"', "a\\"), (r'"\\\"" = formula', '\\"'), ('formula = ""', "")],
)
def test_a_text_may_hold_quotes_and_backslashes(text: str, said: str) -> None:
    assert parse_filter(text) == Compare("formula", "=", said)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("(" * 13 + "band_gap > 1" + ")" * 13, "12 levels"),
        (" OR ".join(["band_gap > 1"] * 501), "500 are accepted"),
        ('formula = "' + "x" * 60_000 + '"', "50,000 are accepted"),
        ('formula = "' + "\t" * 40_000, "not an OPTIMADE filter"),
        ('"' + '\\"' * 20_000, "does not end"),
        ('formula = "a\\', "does not end"),
        ("band_gap > 1 band_gap < 2", "AND or OR is missing"),
    ],
)
def test_what_would_take_long_is_refused_at_once_and_shown_in_part(text: str, hint: str) -> None:
    with pytest.raises(InvalidFilter, match=hint) as caught:
        parse_filter(text)
    assert len(str(caught.value)) < 1_000


def test_precedence_is_that_of_the_specification() -> None:
    text = 'NOT a > b OR c = 100 AND f = "C2 H6"'
    assert parse_filter(text) == parse_filter('(NOT (a > b)) OR ((c = 100) AND (f = "C2 H6"))')
