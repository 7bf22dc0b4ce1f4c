"""Logs: JSON with ids, and no password whatever goes wrong."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.errors import InvalidSetting
from scheduler.logs import HIDDEN, Lines, about, secrets_of
from scheduler.settings import load_settings

PASSWORD = "pa%20ss/word"
URLS = {
    "SLUICE_DATABASE_URL": f"postgresql://sluice:{PASSWORD}@host/base",
    "SLUICE_BROKER_URL": "redis://:brokerword@127.0.0.1:1/0",
}


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("scheduler.tasks", logging.WARNING, "", 0, message, arguments, None)


def test_a_json_line_names_what_it_is_about() -> None:
    lines = Lines((), as_json=True)
    with about(campaign=3), about(chunk=17, stage="csp"):
        entry = json.loads(lines.format(record("done in %.1f s", 2.5)))
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "warning", "logger": "scheduler.tasks", "message": "done in 2.5 s",
        "campaign": 3, "chunk": 17, "stage": "csp",
    }  # fmt: skip
    assert "campaign" not in json.loads(lines.format(record("later")))


def test_an_exception_stays_on_its_line() -> None:
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        failed = logging.LogRecord("x", logging.ERROR, "", 0, "raised", (), sys.exc_info())
    text = Lines((), as_json=True).format(failed)
    assert "\n" not in text and "of two\nlines" in json.loads(text)["error"]


@pytest.mark.parametrize("as_json", [True, False])
def test_no_password_is_shown_in_either_spelling(as_json: bool) -> None:
    settings = load_settings(URLS)
    lines = Lines(secrets_of(settings), as_json)
    for said in (*URLS.values(), "pa ss/word is wrong"):
        text = lines.format(record("cannot connect: %s", said))
        assert HIDDEN in text
        assert not any(secret in text for secret in (PASSWORD, "pa ss/word", "brokerword"))


def test_no_password_is_shown_for_its_quotes_or_for_a_shorter_one_inside_it() -> None:
    own = {
        "SLUICE_DATABASE_URL": 'postgresql://sluice:pa"ss@host/base',
        "SLUICE_BROKER_URL": 'redis://:pa"ss"word@x:1/0',
    }
    lines = Lines(secrets_of(load_settings(own)), as_json=True)
    for url in own.values():
        text = lines.format(record("cannot connect: %s", url))
        assert HIDDEN in text and "pa" not in text and "word" not in text
        json.loads(text)


@pytest.mark.parametrize(("name", "value"), [("SLUICE_LOG_FORMAT", "xml"), ("SLUICE_LOG_LEVEL", "loud")])
def test_a_bad_setting_names_what_is_accepted(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{name}='{value}': expected (text, json|warning, info)"):
        load_settings({name: value})


def test_a_dispatcher_whose_broker_is_away_says_so_without_its_password(tmp_path: Path) -> None:
    code = f"""
import threading, time
from scheduler.campaigns import create_campaign
from scheduler.celery_app import make_app
from scheduler.dispatcher import Dispatcher
from scheduler.logs import start_logs
from scheduler.settings import load_settings
from scheduler.spec import parse_spec
from storage.engine import open_database
settings = load_settings({{"SLUICE_DATABASE_URL": "sqlite:///{tmp_path}/x.db", "SLUICE_LOG_FORMAT": "json",
                           "SLUICE_BROKER_URL": "{URLS["SLUICE_BROKER_URL"]}"}})
start_logs(settings)
engine = open_database(settings.database_url)
source = {{"kind": "enumerate", "cations": ["Cu", "In"], "anions": ["S"]}}
create_campaign(engine, parse_spec({{"source": source}}, "test"))
dispatcher = Dispatcher("d", settings, engine, make_app(settings))
for now in range(3):
    dispatcher.step(float(now))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    assert any(entry["message"].startswith("broker: ") for entry in entries)
    assert "brokerword" not in done.stderr
