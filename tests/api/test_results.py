"""Results: the ranking, the reasons in words, the counts, and commands that work."""

import shlex
from pathlib import Path

import pytest

from api.reasons import main_reason
from api.results import next_commands, read_results, results_json
from storage.engine import open_database, reading


@pytest.fixture
def results(screened: Path):
    engine = open_database(str(screened), create=False)
    with reading(engine) as session:
        yield read_results(session, 1)
    engine.dispose()


def explanation(*interactions: tuple[list[str], float]) -> dict[str, object]:
    return {"property": "band_gap", "index": "k-SII", "order": 2, "interactions": list(interactions)}


def test_the_main_reason_is_the_strongest_interaction_in_words() -> None:
    assert main_reason(explanation((["Ba"], 0.1), (["Te"], -0.82))) == "Te lowers band_gap by 0.82 eV"
    assert (
        main_reason(explanation((["Ba"], 0.1), (["Ba", "Te"], 0.3))) == "Ba and Te together raise band_gap by 0.30 eV"
    )


def test_best_first_by_score(results) -> None:
    assert [profile.formula for profile in results.best] == ["GaAs", "CdTe", "BaTe", "CsPbI3", "Fe0.62C0.38"]


def test_nothing_vanishes(results) -> None:
    assert results.source.input == results.source.unique + results.source.duplicate + results.source.invalid
    for stage in results_json(results, "somewhere")["stages"]:
        ends = ("survived", "rejected", "duplicate", "invalid", "failed")
        assert stage["input"] == sum(stage[end] for end in ends)


def test_the_report_shows_both_predictions_group_reason_and_place(sluice, screened: Path) -> None:
    done = sluice("campaign", "report", 1, "--db", screened)
    assert done.status == 0
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if "GaAs" in line)
    for part in ("1.20 ± 0.20", "0.000 ± 0.050", "F-43m (216)", "band_gap by 0.90 eV"):
        assert part in lines[place], part
    for part in ("structure", "1.30 ± 0.30", "keep"):
        assert part in lines[place + 1], part
    assert any(line.split()[:6] == ["predict", "6", "5", "1", "0", "0"] for line in lines)
    assert str(screened) in done.stdout


def test_the_next_commands_work_as_they_stand(sluice, results, screened: Path) -> None:
    commands = next_commands(results, ["--db", str(screened)])
    assert len(commands) == 3
    for line in commands:
        program, *arguments = shlex.split(line)
        assert program == "sluice"
        assert sluice(*arguments).status == 0
