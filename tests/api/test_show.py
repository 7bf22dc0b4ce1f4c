"""`sluice show`: one candidate, all that is known."""

import json
from pathlib import Path

import pytest


def test_the_card_holds_predictions_structures_and_bars(sluice, screened: Path) -> None:
    done = sluice("show", "As Ga", "--db", screened)
    assert done.status == 0
    for part in ("GaAs", "1.20 ± 0.20", "1.30 ± 0.30", "F-43m (216)", "verdict keep", "baseline", "Ga × As", "█"):
        assert part in done.stdout, part


def test_the_longest_bar_belongs_to_the_strongest_interaction(sluice, screened: Path) -> None:
    lines = sluice("show", "GaAs", "--db", screened).stdout.splitlines()
    bars = {line.split()[0]: line.count("█") for line in lines if "█" in line and "×" not in line}
    assert bars["As"] == 30
    assert 0 < bars["Ga"] <= 30


def test_json_holds_the_explanation_whose_parts_add_up(sluice, screened: Path) -> None:
    profile = json.loads(sluice("show", "GaAs", "--json", "--db", screened).stdout)
    (explanation,) = profile["explanations"]
    total = explanation["baseline"] + sum(amount for _, amount in explanation["interactions"])
    assert total == pytest.approx(profile["predictions"]["band_gap"][0])
    assert [row["rank"] for row in profile["structures"]] == [0, 1]


def test_an_id_means_the_same_candidate(sluice, screened: Path) -> None:
    profile = json.loads(sluice("show", "GaAs", "--json", "--db", screened).stdout)
    assert json.loads(sluice("show", profile["id"], "--json", "--db", screened).stdout) == profile


def test_a_candidate_without_structures_has_a_card_too(sluice, screened: Path) -> None:
    done = sluice("show", "Fe0.62C0.38", "--db", screened)
    assert done.status == 0
    assert "space group –" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Xx2O",), ["Xx2O", "not an element"]),
        (("NaCl",), ["NaCl", "not found"]),
        (("9999",), ["9999", "not found"]),
        (("GaAs", "--campaign", "2"), ["GaAs"]),
        ((), ["FORMULA|ID"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    sluice, screened: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    done = sluice("show", *arguments, "--db", screened)
    assert (done.status, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr
