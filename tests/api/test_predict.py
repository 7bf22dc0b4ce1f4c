"""`sluice predict`, `sluice explain` and `sluice models` with the shipped models."""

import json

import pytest

from workers.cards import pretrained_cards

SHIPPED = {"composition-predictor", "crystal-generator", "materium-generator", "structure-predictor"}
PROPERTIES = {"band_gap": "eV", "formation_energy_per_atom": "eV/atom", "e_above_hull": "eV/atom"}


def predicted(sluice, *formulas: str) -> list[dict[str, object]]:
    done = sluice("predict", *formulas, "--json")
    assert (done.status, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_one_object_for_each_argument_in_order_repeats_included(sluice) -> None:
    found = predicted(sluice, "CsPbI3", "Ba1 Te1", "Fe0.62C0.38", "CsPbI3")
    assert [entry["formula"] for entry in found] == ["CsPbI3", "BaTe", "Fe0.62C0.38", "CsPbI3"]
    assert found[0] == found[3]
    for entry in found:
        assert {name: row["unit"] for name, row in entry["predictions"].items()} == PROPERTIES
        assert all(row["std"] > 0 and row["model"] == "composition-predictor" for row in entry["predictions"].values())


def test_company_changes_no_answer(sluice) -> None:
    assert predicted(sluice, "GaAs", "NaCl", "Cu2ZnSnS4")[2] == predicted(sluice, "Cu2ZnSnS4")[0]


def test_the_table_is_for_people(sluice) -> None:
    done = sluice("predict", "GaAs")
    assert done.status == 0
    assert "band_gap / eV" in done.stdout
    assert "±" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Xx2O",), ["Xx2O", "not an element"]),
        (("GaAs", "Ga("), ["Ga("]),
        (("He2",), ["He"]),
        (("",), ["empty"]),
        (("GaAs", "--model", "crystal-ball"), ["crystal-ball", "composition-predictor"]),
        (("GaAs", "--model", "crystal-generator"), ["crystal-generator", "composition-predictor"]),
        ((), ["FORMULA"]),
    ],
)
def test_a_mistake_is_one_line(sluice, arguments: tuple[str, ...], words: list[str]) -> None:
    done = sluice("predict", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("name", PROPERTIES)
def test_an_explanation_adds_up_to_the_prediction(sluice, name: str) -> None:
    explanation = json.loads(sluice("explain", "Cu2ZnSnS4", "--property", name, "--json").stdout)
    total = explanation["baseline"] + sum(amount for _, amount in explanation["interactions"])
    (prediction,) = predicted(sluice, "Cu2ZnSnS4")
    assert total == pytest.approx(prediction["predictions"][name]["value"], abs=1e-4)
    assert max(len(players) for players, _ in explanation["interactions"]) == 2


def test_order_one_leaves_the_pairs_out(sluice) -> None:
    done = sluice("explain", "GaAs", "--property", "band_gap", "--order", 1, "--json")
    assert {tuple(players) for players, _ in json.loads(done.stdout)["interactions"]} == {("Ga",), ("As",)}


def test_an_explanation_is_bars_and_a_sentence(sluice) -> None:
    done = sluice("explain", "GaAs", "--property", "band_gap")
    assert "█" in done.stdout
    assert "band_gap by" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [("GaAs",), ("GaAs", "--property", "colour"), ("Xx", "--property", "band_gap")])
def test_what_cannot_be_explained_is_one_line(sluice, arguments: tuple[str, ...]) -> None:
    done = sluice("explain", *arguments)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)


def test_the_list_names_every_shipped_model(sluice) -> None:
    cards = json.loads(sluice("models", "list", "--json").stdout)
    assert {card["name"] for card in cards} == {card.name for card in pretrained_cards()} >= SHIPPED
    assert all(len(card["model_id"]) == 64 for card in cards)
    table = sluice("models", "list").stdout
    assert all(card["name"] in table for card in cards)
    assert table.count("mae ") >= 6 and "valid" in table
