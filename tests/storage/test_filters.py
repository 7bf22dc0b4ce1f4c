from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from storage.candidates import Judgement, NewCandidate, record_judgements
from storage.engine import reading, transaction
from storage.filters import to_clause
from storage.structures import NewStructure, record_structures
from storage.tables import CandidateTable
from workers.errors import InvalidFilter
from workers.filters import And, Compare, Filter, Has, Known, Not, Or, evaluate, parse_filter

ELEMENTS = ("Cs", "Pb", "I", "C", "Co", "O")
NUMBERS = (-1.5, 0.0, 1.0, 2.0, 2.5, 3.0, 1e300)
FORMULAS = ("CsPbI3", "CO2", "CoO2", "CsI", "Pb", "C", "PbI2", "Cs2O", "CsCoO2", "PbCO3")
PROPERTIES = ("band_gap", "e_above_hull_std", "structure_band_gap", "score", "nelements", "space_group", "hardness")
OPS = ("<", "<=", ">", ">=", "=", "!=")

numbers = st.sampled_from(NUMBERS)
elements = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3, unique=True).map(tuple)
texts = st.sampled_from((*FORMULAS, "", "C", "co", "I", "2", "%", "_", "'"))
atoms = st.one_of(
    st.builds(Compare, st.sampled_from(PROPERTIES), st.sampled_from(OPS), numbers),
    st.builds(Compare, st.just("formula"), st.sampled_from((*OPS, "CONTAINS", "STARTS", "ENDS")), texts),
    st.builds(Known, st.sampled_from(PROPERTIES), st.booleans()),
    st.builds(Has, st.just("elements"), st.sampled_from(("ALL", "ANY", "ONLY")), elements),
)
filters = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


def selected(yard, tree: Filter, extra: Sequence[str] = ("hardness",)) -> set[str]:
    with reading(yard.engine) as session:
        return set(session.scalars(select(CandidateTable.formula).where(to_clause(tree, extra))))


def unknown(place: int, value: float) -> float:
    return float("nan") if place % 3 == 0 else value


@pytest.fixture
def stock(yard) -> tuple[dict[str, np.ndarray], list[frozenset[str]]]:
    """Ten candidates with holes in their values, and the same as arrays."""
    value = [NUMBERS[place % len(NUMBERS)] for place in range(10)]
    kinds = [frozenset(ELEMENTS[place % 6 : place % 6 + 1 + place % 3]) for place in range(10)]
    columns = {name: np.array([unknown(p + k, value[p - k]) for p in range(10)]) for k, name in enumerate(PROPERTIES)}
    columns["nelements"] = np.array([float(len(kind)) for kind in kinds])
    columns["space_group"] = np.array([unknown(place, place) for place in range(10)])
    columns["formula"] = np.array(FORMULAS)
    at = {name: column.tolist() for name, column in columns.items()}
    yard.keep(
        *(
            NewCandidate(
                FORMULAS[p],
                tuple(kinds[p]),
                at["score"][p],
                {
                    "band_gap": (at["band_gap"][p], None),
                    "e_above_hull": (0.0, at["e_above_hull_std"][p]),
                    "hardness": (at["hardness"][p], 0.5),
                },
            )
            for p in range(10)
        )
    )
    judged = [
        Judgement(FORMULAS[p], None, None, {"structure_band_gap": (at["structure_band_gap"][p], 1)}) for p in range(10)
    ]
    crystals = [NewStructure(FORMULAS[p], 0, 0, {}, p if p % 3 else None, 1) for p in range(10)]
    with transaction(yard.engine) as session:
        record_judgements(session, yard.campaign_id, judged)
        record_structures(session, yard.campaign_id, crystals)
    return columns, kinds


def test_the_database_selects_what_the_arrays_select(yard, stock) -> None:
    columns, kinds = stock

    @settings(max_examples=150, deadline=None)
    @given(filters)
    def check(tree: Filter) -> None:
        expected = {FORMULAS[place] for place in np.flatnonzero(evaluate(tree, columns, kinds))}
        assert selected(yard, tree) == expected

    check()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("nelements > 2.5", 2),
        ("NOT band_gap > -100", 4),
        ("band_gap > -100", 6),
        ("hardness_std = 0.5", 6),
        ('verdict = "keep"', 0),
        ('NOT verdict = "keep"', 10),
        ("elements IS KNOWN", 10),
        ('formula CONTAINS "CO"', 2),
    ],
)
def test_filters_as_people_write_them(yard, stock, text: str, count: int) -> None:
    assert len(selected(yard, parse_filter(text))) == count


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bandgap > 1", "band_gap"),
        ("hardness > 1", "not a column"),
        ("NOT (band_gap > 1 OR x IS KNOWN)", "'x'"),
        ('band_gap > "1"', "a number is expected"),
        ("formula = 3", "a quoted text is expected"),
        ('elements = "Cs"', "elements is a list"),
    ],
)
def test_a_filter_that_cannot_be_says_what_can(text: str, hint: str) -> None:
    with pytest.raises(InvalidFilter, match=hint):
        to_clause(parse_filter(text))


@pytest.mark.parametrize("value", ["Cs\0", "\ud800", "a\nb"])
def test_text_that_no_database_takes_is_refused(value: str) -> None:
    with pytest.raises(InvalidFilter, match="printable"):
        to_clause(Compare("formula", "=", value))


def test_values_are_bound_not_written_into_sql(yard, stock) -> None:
    evil = "'; DROP TABLE candidate; --"
    assert selected(yard, Compare("formula", "=", evil)) == set()
    assert selected(yard, Has("elements", "ANY", (evil,))) == set()
    assert len(selected(yard, Compare("formula", "!=", evil))) == 10
