from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from storage.campaigns import move_campaign
from storage.candidates import Judgement, NewCandidate, candidate_ids, record_judgements
from storage.engine import reading, transaction
from storage.filters import to_clause
from storage.states import CampaignState
from storage.structures import NewStructure, record_structures
from storage.tables import CandidateTable
from workers.errors import InvalidFilter
from workers.filters import And, Compare, ComparePair, Filter, Has, Known, Not, Or, evaluate, parse_filter

ELEMENTS = ("Cs", "Pb", "I", "C", "Co", "O")
FINISHED = 2.0
NUMBERS = (-1.5, 0.0, 1.0, 2.0, 2.5, 3.0, 1e300)
FORMULAS = ("CsPbI3", "CO2", "CoO2", "CsI", "Pb", "C", "PbI2", "Cs2O", "CsCoO2", "PbCO3")
PROPERTIES = ("band_gap", "e_above_hull_std", "structure_band_gap", "score", "nelements", "space_group", "hardness")
NUMERIC = (*PROPERTIES, "hardness_std", "nsites", "last_modified", "campaign", "_other_gap")
TEXTUAL = ("formula", "chemical_formula_reduced", "chemical_formula_anonymous", "id")
OPS = ("<", "<=", ">", ">=", "=", "!=")

numbers = st.sampled_from(NUMBERS)
elements = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3, unique=True).map(tuple)
texts = st.sampled_from((*FORMULAS, "", "C", "co", "I", "2", "%", "_", "'", "A2B", "CsI3Pb", "3", "10", "01"))
atoms = st.one_of(
    st.builds(Compare, st.sampled_from(NUMERIC), st.sampled_from(OPS), numbers),
    st.builds(Compare, st.sampled_from(TEXTUAL), st.sampled_from((*OPS, "CONTAINS", "STARTS", "ENDS")), texts),
    st.builds(ComparePair, st.sampled_from(NUMERIC), st.sampled_from(OPS), st.sampled_from(NUMERIC)),
    st.builds(ComparePair, st.sampled_from(TEXTUAL), st.sampled_from(OPS), st.sampled_from(TEXTUAL)),
    st.builds(Known, st.sampled_from((*NUMERIC, *TEXTUAL)), st.booleans()),
    st.builds(Has, st.just("elements"), st.sampled_from(("ALL", "ANY", "ONLY")), elements),
)
filters = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)

WRITTEN = (
    ("nelements > 2.5", 2),
    ("NOT band_gap > -100", 4),
    ("band_gap > -100", 6),
    ("hardness_std = 0.5", 6),
    ('verdict = "keep"', 0),
    ('NOT verdict = "keep"', 10),
    ("elements IS KNOWN", 10),
    ('formula CONTAINS "CO"', 2),
    ('chemical_formula_reduced = "PbI2"', 1),
    ('chemical_formula_reduced = "I2Pb"', 1),
    ('formula = "I6 Pb3"', 1),
    ('chemical_formula_reduced != "I2Pb"', 9),
    ('chemical_formula_reduced STARTS WITH "I2"', 1),
    ('chemical_formula_descriptive STARTS WITH "I2"', 0),
    ('chemical_formula_hill = "I2Pb" OR "CO2" = chemical_formula_hill', 2),
    ('chemical_formula_anonymous = "A2B"', 4),
    ("chemical_formula_anonymous IS KNOWN AND chemical_formula_hill IS KNOWN", 10),
    ('type = "structures"', 10),
    ('type != "structures" OR type IS UNKNOWN', 0),
    ("nperiodic_dimensions = 3", 6),
    ("nperiodic_dimensions > 3 OR 3 > nperiodic_dimensions", 0),
    ("NOT nperiodic_dimensions = 3", 4),
    ("nsites >= nelements", 2),
    ("nsites > nperiodic_dimensions OR nperiodic_dimensions = nsites", 1),
    ("dimension_types HAS ALL 1 AND dimension_types LENGTH 3", 6),
    ("dimension_types HAS ANY 0, 2", 0),
    ("dimension_types HAS > 0 AND dimension_types HAS ONLY <= 1", 6),
    ('structure_features LENGTH 0 AND NOT structure_features HAS "disorder"', 6),
    ("lattice_vectors IS KNOWN AND lattice_vectors LENGTH 3", 6),
    ("lattice_vectors IS UNKNOWN", 4),
    ("species_at_sites LENGTH 2 AND cartesian_site_positions LENGTH 2", 1),
    ('species_at_sites HAS "Cs"', 0),
    ('species_at_sites HAS "Pb"', 2),
    ('elements HAS "Cs"', 2),
    ('elements HAS ANY < "Co", = "Cs"', 6),
    ('elements HAS ALL > "Cs", < "D"', 3),
    ('elements HAS ONLY <= "Co"', 2),
    ('elements HAS ONLY "Pb", "I"', 2),
    ('NOT elements HAS ONLY "I", "Pb"', 8),
    ("elements LENGTH >= 2 AND elements_ratios LENGTH < 3", 3),
    ('last_modified <= "1970-01-01T00:00:02Z"', 10),
    ('last_modified > "1970-01-01T00:00:02+00:00"', 0),
    ('"1970-01-01T01:00:02+01:00" = last_modified', 10),
    ("space_group_it_number = 4", 1),
    ("_other_gap > 1 OR _other_gap < _other_hull OR _other_x.y = TRUE", 0),
    ("NOT _other_gap > 1 AND _other_gap IS UNKNOWN", 10),
    ('_other_list HAS ALL "a", 3 OR _other_list LENGTH 3 OR space_group_symbol_hall = "P 1"', 0),
    ("band_gap = band_gap", 6),
    ("band_gap != band_gap OR band_gap < score OR band_gap >= score", 6),
    ("5 < 7 AND 1.0 = 1", 10),
    ("5e-1 > 7", 0),
    ("band_gap > 1e999", 0),
    ("campaign > 0", 10),
    ("NOT (NOT (NOT (NOT (band_gap > -100))))", 6),
    ("NOT band_gap > -100 OR band_gap > -100 AND band_gap < -100", 4),
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
    columns["nsites"] = np.array([unknown(place, place % 4) for place in range(10)])
    columns["hardness_std"] = np.where(np.isnan(columns["hardness"]), np.nan, 0.5)
    columns["last_modified"] = np.full(10, FINISHED)
    columns["campaign"] = np.full(10, float(yard.campaign_id))
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
    crystals = [NewStructure(FORMULAS[p], 0, 0, {}, p, p % 4) for p in range(10) if p % 3]
    crystals += [NewStructure(row.formula, 1, 1, {}, 1, 9) for row in crystals]
    with transaction(yard.engine) as session:
        record_judgements(session, yard.campaign_id, judged)
        record_structures(session, yard.campaign_id, crystals)
        assert move_campaign(session, yard.campaign_id, CampaignState.DONE, now=FINISHED)
        ids = candidate_ids(session, yard.campaign_id, FORMULAS)
    columns["id"] = np.array([str(ids[formula]) for formula in FORMULAS])
    return columns, kinds


def test_the_database_selects_what_the_arrays_select(yard, stock) -> None:
    columns, kinds = stock

    @settings(max_examples=300, deadline=None)
    @given(filters)
    def check(tree: Filter) -> None:
        expected = {FORMULAS[place] for place in np.flatnonzero(evaluate(tree, columns, kinds))}
        assert selected(yard, tree) == expected

    check()


def test_filters_as_people_write_them(yard, stock) -> None:
    assert [(text, len(selected(yard, parse_filter(text)))) for text, _ in WRITTEN] == list(WRITTEN)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bandgap > 1", "band_gap"),
        ("hardness > 1", "not a column"),
        ("NOT (band_gap > 1 OR x IS KNOWN)", "'x'"),
        ('band_gap > "1"', "a number is expected"),
        ("formula = 3", "a quoted text is expected"),
        ("id = 3", "a quoted text is expected"),
        ('nsites = "3"', "a number is expected"),
        ("type = 3", "a quoted text is expected"),
        ("formula > band_gap", "two texts or two numbers"),
        ("band_gap > hardness", "not a column"),
        ("_sluice_hardness > 1", "not a column"),
        ('elements = "Cs"', "elements is a list"),
        ("elements = band_gap", "elements is a list"),
        ("elements HAS 3", "symbol between quotes"),
        ("elements_ratios HAS > 0.5", "HAS is for elements, species_at_sites"),
        ('elements:elements_ratios HAS "Cs":>0.3', "place by place"),
        ('chemical_formula_hill > "Cs"', "answered with = and !="),
        ('last_modified CONTAINS "2026"', "is a time"),
        ("band_gap LENGTH 3", "no list"),
        ("formula.x = 3", "no property has parts"),
    ],
)
def test_a_filter_that_cannot_be_says_what_can(text: str, hint: str) -> None:
    with pytest.raises(InvalidFilter, match=hint):
        to_clause(parse_filter(text))


@pytest.mark.parametrize("value", ["Cs\0", "\ud800", "a\nb"])
def test_text_that_no_database_takes_is_refused(value: str) -> None:
    with pytest.raises(InvalidFilter, match="printable"):
        to_clause(Compare("formula", "=", value))


@pytest.mark.parametrize("spelled", ["1" * 5000, "99999999999999999999", "01", "-1", ""])
def test_a_text_that_is_no_id_is_no_candidate_s(yard, stock, spelled: str) -> None:
    assert selected(yard, Compare("id", "=", spelled)) == set()
    assert len(selected(yard, Compare("id", "!=", spelled))) == 10


def test_values_are_bound_not_written_into_sql(yard, stock) -> None:
    evil = "'; DROP TABLE candidate; --"
    assert selected(yard, Compare("formula", "=", evil)) == set()
    assert selected(yard, Has("elements", "ANY", (evil,))) == set()
    assert len(selected(yard, Compare("formula", "!=", evil))) == 10
