"""`sluice show`: one candidate, all that is known."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from storage.engine import open_database, transaction
from storage.models import record_model
from storage.references import Finding, NewSet, begin_set, finish_set, record_findings, use_sets
from storage.tables import CampaignModelTable, ChunkTable


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


def test_the_card_says_what_is_known_and_whose_hull_it_is(sluice, database: Path) -> None:
    engine = open_database(str(database))
    with transaction(engine) as session:
        held = finish_set(session, begin_set(session, NewSet("mp", "PBE+U", {}), now=1.0), None, now=2.0)
        use_sets(session, 1, [held])
        record_findings(session, 1, [Finding("GaAs", "mp/mp-2534", "mp"), Finding("CdTe", "new", "estimate")])
    engine.dispose()
    card = sluice("show", "GaAs", "--db", database).stdout
    assert "structure known, mp/mp-2534" in card and "against mp (PBE+U)" in card
    profile = json.loads(sluice("show", "GaAs", "--json", "--db", database).stdout)
    assert (profile["known_structure"], profile["known_composition"]) == ("mp/mp-2534", None)
    assert profile["hull"] == {"references": "mp", "model": None, "level": "PBE+U", "digest": held.digest}
    card = sluice("show", "CdTe", "--db", database).stdout
    assert "structure new" in card and "an estimate, against the phases that the model knows" in card
    assert "hull from structure" not in sluice("show", "BaTe", "--db", database).stdout


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


def test_provenance_leads_each_value_to_its_model_and_chunk(sluice, database: Path) -> None:
    engine = open_database(str(database))
    with transaction(engine) as session:
        for role, name in (("composition", "imkt"), ("generator", "materium"), ("structure", "exkt")):
            record_model(session, f"{name:x<64}", name, {})
            session.add(CampaignModelTable(campaign_id=1, role=role, model_id=f"{name:x<64}"))
        stages = {row.stage: row.id for row in session.execute(select(ChunkTable.stage, ChunkTable.id))}
    engine.dispose()
    found = json.loads(sluice("show", "GaAs", "--provenance", "--json", "--db", database).stdout)
    origins = {origin["name"]: origin for origin in found["origins"]}
    assert found["campaign"]["seed"] == 7 and found["campaign"]["spec"]["csp"] == {"top": 2}
    expected = {
        "band_gap": (["imkt"], "predict"),
        "2 structures": (["materium", "exkt"], "csp"),
        "k-SII of band_gap": (["imkt"], "explain"),
    }
    for name, (models, stage) in expected.items():
        assert [model["name"] for model in origins[name]["models"]] == models
        assert origins[name]["made_by"]["chunk_id"] == stages[stage]
    assert origins["structure_band_gap"]["value"] == 1.3
    card = sluice("show", "GaAs", "--provenance", "--db", database).stdout
    assert "campaign 1 (tellurides): seed 7" in card and "imktxxxxxxxx" in card
    assert "2 structures" not in sluice("show", "BaTe", "--provenance", "--db", database).stdout
