"""Summaries: means by hand."""

import pytest

from workers.explanations import Explanation
from workers.summaries import summarise


def explained(formula: str, interactions: dict[tuple[str, ...], float], **others: str) -> Explanation:
    names = {"property": "band_gap", "index": "k-SII", "players": "elements"} | others
    return Explanation(
        formula, names["property"], names["index"], 2, 0.0, 1.0, tuple(interactions.items()), names["players"]
    )


BATE = explained("BaTe", {("Ba",): 1.0, ("Te",): 2.0, ("Ba", "Te"): -0.5})
TEBA = explained("BaTe2", {("Te",): 4.0, ("Ba",): 3.0, ("Te", "Ba"): 1.5})
CSI = explained("CsI", {("Cs",): 0.25, ("I",): 0.5, ("Cs", "I"): 3.0})


def test_means_over_the_formulas_that_hold_all_the_elements() -> None:
    [summary] = summarise([BATE, TEBA, CSI])
    assert (summary.property, summary.index, summary.order, summary.explained) == ("band_gap", "k-SII", 2, 3)
    means = {found.elements: (found.mean, found.std, found.count) for found in summary.means}
    assert means == {
        ("Te",): (3.0, 1.0, 2),
        ("Ba",): (2.0, 1.0, 2),
        ("I",): (0.5, 0.0, 1),
        ("Cs",): (0.25, 0.0, 1),
        ("I", "Cs"): (3.0, 0.0, 1),
        ("Te", "Ba"): (0.5, 1.0, 2),
    }
    assert [found.elements for found in summary.of_size(2)] == [("I", "Cs"), ("Te", "Ba")]
    assert [found.elements for found in summary.of_size(1)] == [("Te",), ("Ba",), ("I",), ("Cs",)]


def test_elements_and_amounts_count_to_their_elements() -> None:
    parts = {("Ba",): 1.0, ("n(Ba)",): 0.5, ("Ba", "n(Ba)"): 0.25, ("Ba", "n(Te)"): 2.0, ("n(Ba)", "Te", "n(Te)"): 4.0}
    [summary] = summarise([explained("BaTe", parts, players="tokens")])
    assert {found.elements: found.mean for found in summary.means} == {("Ba",): 1.75, ("Te", "Ba"): 6.0}


def test_each_property_and_index_has_a_summary_of_its_own() -> None:
    others = [explained("BaTe", {("Ba",): 1.0}, property="e_above_hull"), explained("CsI", {("I",): 1.0}, index="SV")]
    assert [(found.property, found.index) for found in summarise([CSI, *others])] == [
        ("band_gap", "SV"), ("band_gap", "k-SII"), ("e_above_hull", "k-SII"),
    ]  # fmt: skip
    assert summarise([]) == ()


def test_the_order_of_explanations_does_not_matter() -> None:
    assert summarise([CSI, TEBA, BATE])[0].means == pytest.approx(summarise([BATE, TEBA, CSI])[0].means)
