"""`sluice train predictor`: from a table to a property that is predicted, screened by, and asked for."""

import json
from pathlib import Path

import pytest

from api.cli import run
from workers.cards import load_checkpoint

CATIONS = ("Li", "Na", "K", "Mg", "Ca", "Ba", "Zn", "Cd", "Ga", "In")
HALVES = {"O": 0.0, "S": 10.0, "Se": 20.0, "Te": 30.0, "F": 5.0, "Cl": 15.0}


def table(path: Path, classes: bool = False) -> Path:
    """Sixty binaries whose hardness is a matter of the anion, two of them twice."""
    pairs = [(f"{cation}{count + 1}{anion}2", value + count) for count, cation in enumerate(CATIONS)
             for anion, value in HALVES.items()]  # fmt: skip
    pairs += [("Te2Li", 90.0), ("Li2Te4", 31.0), ("Xx", 1.0)]
    cells = [
        f"{formula},{'hard' if value > 15 else 'a soft one'}" if classes else f"{formula},{value}"
        for formula, value in pairs
    ]
    path.write_text("\n".join(["composition,hardness", *cells]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that keeps two predictors, learned in a hurry."""
    folder = tmp_path_factory.mktemp("trained")
    for name, flags in (("hardness", ["--unit", "GPa"]), ("is_hard", ["--classification"])):
        data = table(folder / f"{name}.csv", classes=name == "is_hard")
        words = ["--data", data, "--formula-column", "composition", "--target", "hardness", "--name", name]
        places = ["--out", folder, "--db", folder / "own.db", "--epochs", "1"]
        assert run(["train", "predictor", *map(str, [*words, *flags, *places])]) == 0
    return folder


def test_what_was_learned_is_measured_drawn_and_listed(sluice, trained: Path) -> None:
    cards = {
        card["name"]: card for card in json.loads(sluice("models", "list", "--json", "--db", trained / "own.db").stdout)
    }
    assert {"composition-predictor", "hardness", "is_hard"} <= cards.keys()
    assert cards["hardness"]["metrics"]["mae"] < cards["hardness"]["metrics"]["mae_of_the_median"]
    assert cards["is_hard"]["metrics"]["balanced_accuracy"] > 0.6
    assert "1 compositions with several rows, 1 of them different" in cards["hardness"]["data"]
    assert "1 rows could not be read" in cards["hardness"]["data"]
    figures = [trained / f"{name}-{kind}.png" for name in ("hardness", "is_hard") for kind in ("parity", "calibration")]
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)


def test_a_property_of_ones_own_is_predicted(sluice, trained: Path) -> None:
    done = sluice("predict", "--model", "hardness", "BaTe", "CaO", "--json", "--db", trained / "own.db")
    assert done.status == 0
    soft, hard = ([entry["predictions"]["hardness"] for entry in json.loads(done.stdout)])[::-1]
    assert soft["value"] < hard["value"] and soft["std"] > 0
    assert (soft["unit"], soft["model"]) == ("GPa", "hardness")
    assert "hardness / GPa" in sluice("predict", "--model", "hardness", "BaTe", "--db", trained / "own.db").stdout
    sure = json.loads(sluice("predict", "--model", "is_hard", "BaTe2", "--json", "--db", trained / "own.db").stdout)
    assert 0 <= sure[0]["predictions"]["is_hard"]["value"] <= 1


def test_it_is_screened_by_stored_and_asked_for(sluice, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("formula\nBaTe\nCaO\nXeF2\nK2Te\nNaF\nZnTe\n", encoding="utf-8")
    where = "P(hardness > 18) >= 0.5 AND is_hard <= 1"
    own = ("--predictor", "hardness", "--predictor", "is_hard", "--db", trained / "own.db")
    done = sluice("screen", "mine.csv", *own, "--where", where, "--structures", 0, "--explain", 0, "--json")
    assert done.status == 0, done.stderr
    [stage] = json.loads(done.stdout)["stages"]
    assert (stage["input"], stage["invalid"], stage["failed"]) == (6, 1, 0)
    found = json.loads(
        sluice("query", "hardness > 0 AND is_hard IS KNOWN", "--json", "--db", trained / "own.db").stdout
    )
    assert 0 < len(found) == stage["survived"] < 5
    predicted = json.loads(sluice("predict", "--model", "hardness", found[0]["formula"], "--json", *own[-2:]).stdout)
    assert predicted[0]["predictions"]["hardness"]["value"] == found[0]["hardness"]


def test_it_is_exported_and_brought_along_under_another_name(sluice, trained: Path, tmp_path: Path) -> None:
    assert sluice("models", "export", "hardness", "--out", "mine", "--db", trained / "own.db").status == 0
    assert load_checkpoint(tmp_path / "mine")[0].name == "hardness"
    assert sluice("models", "import", "mine", "--name", "toughness").status == 0
    there = json.loads(sluice("predict", "--model", "hardness", "BaTe", "--json", "--db", trained / "own.db").stdout)
    here = json.loads(sluice("predict", "--model", "toughness", "BaTe", "--json").stdout)
    values = [rows[0]["predictions"][name]["value"] for rows, name in ((there, "hardness"), (here, "toughness"))]
    assert values[0] == values[1]
    again = sluice("models", "import", "mine", "--name", "toughness")
    assert (again.status, "--yes" in again.stderr) == (2, True)
    assert sluice("models", "import", "mine", "--name", "toughness", "--yes").status == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--name": "band_gap"}, ["'band_gap'", "built-in"]),
        ({"--name": "score"}, ["'score'", "built-in"]),
        ({"--name": "Hardness"}, ["'Hardness'", "small letters"]),
        ({"--name": "lambda"}, ["'lambda'", "scores"]),
        ({"--name": "space_group_it_number"}, ["built-in"]),
        ({"--name": "hardness_std"}, ["_std"]),
        ({"--name": "symmetry"}, ["'symmetry'", "shipped"]),
        ({"--name": "hardness"}, ["'hardness'", "--yes replaces it"]),
        ({"--target": "composition"}, ["'composition'", "another column"]),
        ({"--target": "colour"}, ["'colour'", "composition, hardness"]),
        ({"--formula-column": "formula"}, ["'formula'", "composition, hardness"]),
        ({"--data": "nowhere.csv"}, ["nowhere.csv", "no such file"]),
        ({"--epochs": "0"}, ["--epochs"]),
    ],
)
def test_a_mistake_is_one_line(sluice, trained: Path, changes: dict[str, str], words: list[str]) -> None:
    asked = {"--data": trained / "hardness.csv", "--formula-column": "composition", "--target": "hardness",
             "--name": "mine", "--db": trained / "own.db"} | changes  # fmt: skip
    done = sluice("train", "predictor", *(word for pair in asked.items() for word in pair))
    assert (done.status, done.stdout) == (2, "")
    line = [text for text in done.stderr.splitlines() if not text.startswith("database:")]
    assert len(line) == 1 and all(word in line[0] for word in words), done.stderr


def test_a_table_that_is_too_small_is_told_and_leaves_nothing(sluice, tmp_path: Path) -> None:
    (tmp_path / "small.csv").write_text("f,t\nNaCl,1\nKCl,2\nLiF,3\n", encoding="utf-8")
    done = sluice(
        "train", "predictor", "--data", "small.csv", "--formula-column", "f", "--target", "t", "--name", "mine"
    )
    assert done.status == 2 and "at least 50" in done.stderr
    assert not list(tmp_path.glob("*.png"))
    assert [card for card in json.loads(sluice("models", "list", "--json").stdout) if card["name"] == "mine"] == []


def test_elsewhere_a_probability_is_said_to_be_for_screens(sluice, trained: Path) -> None:
    done = sluice("query", "P(band_gap > 1) >= 0.5", "--db", trained / "own.db")
    assert done.status == 2 and "for screens" in done.stderr
