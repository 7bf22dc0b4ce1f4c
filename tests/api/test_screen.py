"""`sluice screen`: what it refuses at once, and a small file screened by the real engine."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = """
[source]
kind = "enumerate"
cations = ["Ba", "Cs"]
anions = ["Te", "I"]
"""
GENERATED = """
[source]
kind = "generate"
count = 10
space_group = 225
"""
SMALL = """
[source]
kind = "file"
path = "mine.csv"
[csp]
top = 2
structures = 2
relax_steps = 2
"""
COMMAND = ("screen", "small.toml", "--explain", 2, "--seed", 3, "--name", "small")
LINES = ["formula", "CdTe", "GaAs", "Cd1 Te1", "NaCl", "Xx2O", "Fe0.62C0.38", "He2", "BaTe", "", "TeCd", "ZnSe", "CsI"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (SPEC + "colour = 1", ["source", "colour", "cations"]),
        (SPEC + '[predict]\nwhere = "band_gap > 1.8 AND band_gap < 1.0"', ["band_gap"]),
        (SPEC + '[predict]\nwhere = "bandgap > 1.8"', ["bandgap", "band_gap"]),
        (SPEC + '[predict]\nscore = "-e_above_hul"', ["e_above_hul"]),
        (SPEC + "[csp]\ntop = 0", ["top", "0"]),
        (SPEC + '[csp]\ntop = "many"', ["top", "many"]),
        (SPEC.replace('"Cs"', '"Xx"'), ["Xx"]),
        (SPEC.replace('"Cs"', '"He"'), ["He"]),
        (SPEC.replace('["Te", "I"]', "[]"), ["anions"]),
        ("[source]\nkind = 'guess'", ["guess", "generate", "substitute"]),
        (GENERATED.replace("10", "0"), ["source.count", "0"]),
        (GENERATED.replace("225", "231"), ["source.space_group", "231"]),
        (GENERATED + "beauty = 3", ["source.beauty", "band_gap"]),
        (GENERATED + "density = 99", ["density 99", "25 g/cm³"]),
        (GENERATED + 'model = "crystallm"', ["crystallm-generator", "materium-generator"]),
        (GENERATED + 'model = "composition-predictor"', ["composition-predictor", "crystal-generator"]),
        (GENERATED.replace("225", "230") + "max_atoms = 7", ["max_atoms = 7", "at least 8 atoms"]),
        ("name = 'x'", ["source"]),
        ("[source\n", ["TOML"]),
    ],
)
def test_a_spec_that_does_not_fit_is_one_line(sluice, tmp_path: Path, spec: str, words: list[str]) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(spec)
    refused(sluice, tmp_path, path, words=words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty"]),
        (b"formula\n", ["empty"]),
        (b"formula\nCdTe\nCa\xffO\n", ["line 3", "UTF-8"]),
    ],
)
def test_a_file_that_cannot_be_screened_is_one_line(sluice, tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    refused(sluice, tmp_path, path, words=["mine.csv", *words])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere.csv",), ["nowhere.csv", "no such file"]),
        (("nowhere.toml",), ["nowhere.toml", "no such file"]),
        ((".",), ["folder"]),
        ((), ["SPEC.toml|FILE"]),
        (("mine.csv", "--where", "band_gap >"), ["band_gap >"]),
        (("mine.csv", "--where", "density > 3"), ["density", "band_gap"]),
        (("mine.csv", "--top", "0"), ["--top", "0"]),
        (("mine.csv", "--structures", "-1"), ["--structures", "-1"]),
        (("mine.csv", "--seed", "one"), ["--seed", "one"]),
    ],
)
def test_a_mistake_is_one_line(sluice, tmp_path: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    (tmp_path / "mine.csv").write_text("formula\nCdTe\n")
    refused(sluice, tmp_path, *arguments, words=words)


def test_an_alien_database_is_left_alone(sluice, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("formula\nCdTe\n")
    (tmp_path / "alien.db").write_text("mine, keep off\n" * 100)
    done = sluice("screen", "mine.csv", "--db", tmp_path / "alien.db")
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert (tmp_path / "alien.db").read_text().startswith("mine, keep off")


def refused(sluice, folder: Path, *arguments: object, words: list[str]) -> None:
    """One line with these words, status 2, and no campaign in the database."""
    database = folder / "new.db"
    done = sluice("screen", *arguments, "--db", database)
    assert (done.status, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    if database.exists():
        assert json.loads(sluice("campaign", "list", "--json", "--db", database).stdout) == []


class Engine:
    """The command line in processes of its own, on one folder."""

    def __init__(self, folder: Path) -> None:
        (folder / "mine.csv").write_text("\n".join(LINES) + "\n")
        (folder / "small.toml").write_text(SMALL)
        self.folder = folder
        self.database = folder / "sluice.db"

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Begin a command, in a session of its own."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")}
        environment = kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SLUICE_ACTORS": "1"}
        words = [sys.executable, "-c", "from api.cli import main; main()", *map(str, arguments)]
        return subprocess.Popen(
            [*words, "--db", str(self.database)], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: object, status: int = 0) -> tuple[str, str]:
        """What a command writes to stdout and stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=280)
        assert process.returncode == status, err
        return out, err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, dict[str, object], str]:
    """A file with bad lines, screened: the engine, the JSON and what stderr said."""
    engine = Engine(tmp_path_factory.mktemp("screen"))
    out, err = engine.run(*COMMAND, "--json")
    return engine, json.loads(out), err


def test_bad_lines_are_reported_and_the_rest_is_screened(finished) -> None:
    _, results, err = finished
    assert results["state"] == "done"
    assert "mine.csv, line 6: formula 'Xx2O'" in err
    assert "mine.csv, line 8: formula 'He2'" in err
    source = results["source"]
    assert source["input"] == source["unique"] + source["invalid"] + source["duplicate"]
    assert (source["unique"], source["invalid"], source["duplicate"]) == (7, 2, 2)
    for stage in results["stages"]:
        ends = ("survived", "rejected", "duplicate", "invalid", "failed")
        assert stage["closed"]
        assert stage["input"] == sum(stage[end] for end in ends)


def test_the_best_have_structures_from_which_they_are_judged_and_reasons(finished) -> None:
    _, results, _ = finished
    best = results["candidates"][:2]
    whole = [candidate for candidate in best if "." not in candidate["formula"]]
    assert whole
    assert all(candidate["structures"] for candidate in whole)
    assert all("structure_band_gap" in candidate["predictions"] for candidate in whole)
    assert all(candidate["failures"] for candidate in best if candidate not in whole)
    assert all(candidate["main_reason"] for candidate in best)
    scores = [candidate["score"] for candidate in results["candidates"]]
    assert scores == sorted(scores, reverse=True)


def test_progress_went_to_stderr_as_plain_lines(finished) -> None:
    _, _, err = finished
    assert "campaign 1 (small)" in err.splitlines()[0]
    for stage in ("predict", "csp", "judge", "explain"):
        assert any(line.startswith(f"{stage}: ") and "closed" in line for line in err.splitlines())


def test_interrupted_and_resumed_it_ends_with_the_same_rows(finished, tmp_path: Path) -> None:
    engine, _, _ = finished
    other = Engine(tmp_path)
    process = other.start(*COMMAND)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("campaign 1 ")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("stopped; `sluice campaign resume 1")
    assert "Traceback" not in err
    out, _ = other.run("campaign", "resume", 1)
    assert "try next" in out
    tables = [list(csv.reader(each.run("query", "--format", "csv")[0].splitlines())) for each in (engine, other)]
    assert tables[0] == tables[1]
    again, said = other.run("campaign", "resume", 1)
    assert again == out
    assert "done already" in said
