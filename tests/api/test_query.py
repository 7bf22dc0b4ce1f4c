"""`sluice query`: formats, order, and one line for every mistake."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from workers.properties import column_names


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_the_columns_of_the_contract_in_registry_order(sluice, screened: Path) -> None:
    done = sluice("query", "band_gap > 0", "--format", "csv", "--db", screened)
    header = done.stdout.splitlines()[0].split(",")
    expected = ["campaign", "formula", "verdict", "score"]
    assert header == expected + [key for name in column_names() for key in (name, f"{name}_std")]
    assert (done.status, done.stderr) == (0, "")


def test_floats_are_the_shortest_text_that_reads_back(sluice, screened: Path) -> None:
    done = sluice("query", 'formula = "CdTe"', "--format", "csv", "--db", screened)
    (row,) = rows(done.stdout)
    assert row["band_gap"] == "1.4333333333333333"
    assert (row["e_above_hull"], row["bulk_modulus"], row["structure_density_std"]) == ("0.01", "", "")


def test_json_is_one_array_that_agrees_with_the_csv(sluice, screened: Path) -> None:
    asked = ("query", "e_above_hull <= 0.05", "--sort", "formula", "--db", screened)
    objects = json.loads(sluice(*asked, "--json").stdout)
    table = rows(sluice(*asked, "--format", "csv").stdout)
    assert [entry["formula"] for entry in objects] == ["BaTe", "CdTe", "CsPbI3", "GaAs"]
    for entry, row in zip(objects, table, strict=True):
        assert list(entry) == list(row)
        assert {key: "" if value is None else str(value) for key, value in entry.items()} == row


def test_nothing_selected_is_an_empty_array(sluice, screened: Path) -> None:
    done = sluice("query", "band_gap > 9", "--json", "--db", screened)
    assert json.loads(done.stdout) == []


def test_parquet_holds_what_json_holds(sluice, screened: Path, tmp_path: Path) -> None:
    done = sluice("query", "--format", "parquet", "--out", tmp_path / "all.parquet", "--db", screened)
    assert (done.status, done.stdout) == (0, "")
    assert pq.read_table(tmp_path / "all.parquet").to_pylist() == json.loads(
        sluice("query", "--json", "--db", screened).stdout
    )


def test_a_cif_folder_has_one_file_for_each_candidate_with_a_structure(sluice, screened: Path, tmp_path: Path) -> None:
    done = sluice("query", "--campaign", 1, "--format", "cif", "--out", tmp_path / "cif", "--db", screened)
    assert done.status == 0
    assert sorted(path.name for path in (tmp_path / "cif").iterdir()) == ["CdTe.cif", "GaAs.cif"]
    assert "_cell_length_a   4.3" in (tmp_path / "cif" / "GaAs.cif").read_text()


def test_out_replaces_the_file_at_once(sluice, screened: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    assert sluice("query", "--format", "csv", "--out", tmp_path / "out.csv", "--db", screened).status == 0
    assert len(rows((tmp_path / "out.csv").read_text())) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ('elements HAS "Te"', ["CdTe", "BaTe"]),
        ('elements HAS ALL "Cs","I"', ["CsPbI3"]),
        ('elements HAS ANY "Ga","I"', ["GaAs", "CsPbI3"]),
        ("structure_band_gap IS KNOWN", ["GaAs", "CdTe"]),
        ("_sluice_band_gap > 1.5 AND NOT nelements = 3", ["BaTe"]),
        ('verdict = "keep" OR e_above_hull > 0.05', ["GaAs", "CdTe", "Fe0.62C0.38"]),
    ],
)
def test_filters_select_the_best_first(sluice, screened: Path, text: str, formulas: list[str]) -> None:
    found = json.loads(sluice("query", text, "--json", "--db", screened).stdout)
    assert [row["formula"] for row in found] == formulas


def test_sort_and_limit(sluice, screened: Path) -> None:
    done = sluice("query", "--sort", "-band_gap", "--limit", 2, "--json", "--db", screened)
    assert [row["formula"] for row in json.loads(done.stdout)] == ["CsPbI3", "BaTe"]
    assert sluice("query", "--limit", 0, "--json", "--db", screened).stdout.split() == ["[", "]"]


def test_the_table_shows_values_with_their_deviations(sluice, screened: Path) -> None:
    done = sluice("query", 'formula = "GaAs"', "--db", screened)
    assert "1.20 ± 0.20" in done.stdout
    assert "bulk_modulus" not in done.stdout
    assert "structure_density" in done.stdout


def test_a_table_that_nobody_limited_says_that_there_is_more(sluice, screened: Path, monkeypatch) -> None:
    monkeypatch.setattr("api.query.SHOWN", 2)
    done = sluice("query", "--db", screened)
    assert "the first 2" in done.stderr
    assert "Fe0.62C0.38" not in done.stdout
    assert sluice("query", "--limit", 2, "--db", screened).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("band_gap >> 1",), ["band_gap >> 1"]),
        (("",), ["empty"]),
        (("bandgap > 1",), ["bandgap", "band_gap"]),
        (('band_gap > "wide"',), ["band_gap", "number"]),
        (("band_gap HAS 1",), ["elements"]),
        (("--sort", "gap"), ["gap", "band_gap"]),
        (("--campaign", "99"), ["99", "sluice campaign list"]),
        (("--campaign", "one"), ["one"]),
        (("--limit", "-1"), ["-1"]),
        (("--format", "xlsx"), ["xlsx", "csv"]),
        (("--format", "cif"), ["--out"]),
        (("--format", "parquet"), ["--out"]),
        (("--format", "csv", "--out", "no/such/folder/x.csv"), ["no/such/folder/x.csv"]),
        (("--colour", "red"), ["--colour"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    sluice, screened: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    done = sluice("query", *arguments, "--db", screened)
    assert (done.status, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr
