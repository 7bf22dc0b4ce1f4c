"""`sluice campaign`: the states of a campaign, as people see and move them."""

import json
from pathlib import Path
from threading import Timer

import pytest

from storage.campaigns import NewCampaign, create_campaign, move_campaign
from storage.engine import open_database, transaction
from storage.states import CampaignState, StageName


@pytest.fixture
def running(database: Path) -> Path:
    """The database with a second campaign, which runs."""
    engine = open_database(str(database))
    with transaction(engine) as session:
        new = NewCampaign("second", {"source": {"kind": "file"}}, 1, "0.1.0", (StageName.PREDICT,))
        assert create_campaign(session, new, now=300.0) == 2
    engine.dispose()
    return database


def state(sluice, database: Path, campaign_id: int) -> str:
    listed = json.loads(sluice("campaign", "list", "--json", "--db", database).stdout)
    return next(entry["state"] for entry in listed if entry["id"] == campaign_id)


def test_the_list_names_every_campaign(sluice, running: Path) -> None:
    done = sluice("campaign", "list", "--db", running)
    assert done.status == 0
    assert "tellurides" in done.stdout
    assert "second" in done.stdout
    listed = json.loads(sluice("campaign", "list", "--json", "--db", running).stdout)
    assert [(entry["id"], entry["state"]) for entry in listed] == [(1, "done"), (2, "running")]


def test_status_counts_every_line_and_names_the_bad_ones(sluice, screened: Path) -> None:
    done = sluice("campaign", "status", 1, "--db", screened)
    assert done.status == 0
    assert "formulas.csv, line 7: Xx2O" in done.stdout
    found = json.loads(sluice("campaign", "status", 1, "--json", "--db", screened).stdout)
    assert found["source"] == {"input": 8, "unique": 6, "invalid": 1, "duplicate": 1}
    assert [(stage["stage"], stage["input"], stage["survived"]) for stage in found["stages"]] == [
        ("predict", 6, 5),
        ("csp", 2, 2),
        ("explain", 2, 2),
    ]
    assert found["failures"] == {"invalid": 1}


def test_pause_and_cancel_move_the_state(sluice, running: Path) -> None:
    assert sluice("campaign", "pause", 2, "--db", running).status == 0
    assert state(sluice, running, 2) == "paused"
    again = sluice("campaign", "pause", 2, "--db", running)
    assert again.status == 0
    assert "already" in again.stderr
    assert sluice("campaign", "cancel", 2, "--db", running).status == 0
    assert state(sluice, running, 2) == "cancelled"


def test_priority_is_kept_and_a_campaign_that_ended_has_no_use_for_it(sluice, running: Path) -> None:
    assert sluice("campaign", "priority", 2, 25, "--db", running).status == 0
    listed = json.loads(sluice("campaign", "list", "--json", "--db", running).stdout)
    assert [entry["priority"] for entry in listed] == [10, 25]
    refused = sluice("campaign", "priority", 1, 25, "--db", running)
    assert (refused.status, refused.stderr.count("\n")) == (2, 1)
    assert "campaign 1 is done" in refused.stderr


def test_resuming_what_is_done_says_so_and_shows_the_table(sluice, screened: Path) -> None:
    done = sluice("campaign", "resume", 1, "--db", screened)
    assert done.status == 0
    assert "done already" in done.stderr
    assert "GaAs" in done.stdout
    assert json.loads(sluice("campaign", "resume", 1, "--json", "--db", screened).stdout)["state"] == "done"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("status", "99"), ["99", "not found"]),
        (("resume", "99"), ["99", "not found"]),
        (("pause", "99"), ["99", "not found"]),
        (("report", "99"), ["99", "not found"]),
        (("pause", "1"), ["campaign 1 is done", "paused"]),
        (("cancel", "1"), ["campaign 1 is done", "cancelled"]),
        (("priority", "99", "5"), ["99", "not found"]),
        (("priority", "1", "0"), ["0", "100"]),
        (("priority", "1"), ["N"]),
        (("status", "first"), ["first"]),
        (("status", "0"), ["0"]),
        (("status",), ["ID"]),
        (("stop", "1"), ["stop"]),
    ],
)
def test_a_mistake_is_one_line(sluice, database: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    group, *_ = arguments
    options = () if group == "stop" else ("--db", database)
    done = sluice("campaign", *arguments, *options)
    assert (done.status, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_a_cancelled_campaign_cannot_be_resumed(sluice, running: Path) -> None:
    sluice("campaign", "cancel", 2, "--db", running)
    done = sluice("campaign", "resume", 2, "--db", running)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert "cancelled" in done.stderr


def test_watching_what_has_ended_shows_its_stages_and_its_status(sluice, screened: Path) -> None:
    done = sluice("campaign", "status", 1, "--watch", "--db", screened)
    assert done.status == 0
    assert "predict: 6 of 6" in done.stderr and "closed" in done.stderr
    assert "campaign 1 (tellurides) is done" in done.stdout


def test_watching_goes_on_until_the_campaign_runs_no_more(sluice, running: Path) -> None:
    engine = open_database(str(running))

    def pause() -> None:
        with transaction(engine) as session:
            assert move_campaign(session, 2, CampaignState.PAUSED, now=400.0)

    later = Timer(1.5, pause)
    later.start()
    done = sluice("campaign", "status", 2, "--watch", "--db", running)
    later.join()
    engine.dispose()
    assert done.status == 0
    assert "campaign 2 (second) is paused" in done.stdout
