"""The command line as a whole: quick, quiet, and one line for whoever made a mistake."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli import COMMANDS

HEAVY = {"torch", "ray", "celery", "chgnet", "shapiq", "pandas"}


def command(*arguments: object, folder: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    program = code or "from api.cli import main; main()"
    environment = {key: value for key, value in os.environ.items() if key != "SLUICE_DATABASE_URL"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    words = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["query", "--help"], ["query", "band_gap > 1", "--db", "DATABASE"]])
def test_help_and_query_import_nothing_heavy(arguments: list[str], screened: Path, tmp_path: Path) -> None:
    words = [str(screened) if word == "DATABASE" else word for word in arguments]
    code = (
        "import sys; from api.cli import run; assert run(sys.argv[1:]) == 0;"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = command(*words, folder=tmp_path, code=code)
    assert done.returncode == 0, done.stderr
    assert not set(done.stderr.split()) & HEAVY


@pytest.mark.parametrize(
    "name", [*COMMANDS, "campaign list", "campaign resume", "models list", "data import", "db check"]
)
def test_every_command_explains_itself_with_an_example(sluice, name: str) -> None:
    done = sluice(*name.split(), "--help")
    assert done.status == 0
    assert "Example: sluice" in done.stdout
    assert name in COMMANDS and name in ("campaign", "data", "models", "db", "token", "train") or "--db" in done.stdout


def test_the_summaries_of_the_listing_reach_the_reader(sluice) -> None:
    done = sluice("--help")
    assert all(target.summary in " ".join(done.stdout.split()) for target in COMMANDS.values())


def test_an_unknown_command_is_one_line(sluice) -> None:
    done = sluice("qurey")
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert "qurey" in done.stderr


def test_a_reader_that_leaves_is_no_error(screened: Path, tmp_path: Path) -> None:
    code = "import os, sys; from api.cli import main; os.close(1); r, w = os.pipe(); os.close(r); main()"
    done = command("query", "--format", "csv", "--db", screened, folder=tmp_path, code=code)
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


def test_the_default_database_is_named_on_stderr_alone(sluice, database: Path) -> None:
    database.rename(database.with_name("sluice.db"))
    done = sluice("query", "--json")
    assert done.status == 0
    assert done.stdout.startswith("[")
    assert done.stderr == f"database: {database.with_name('sluice.db')}\n"


def test_the_environment_names_the_database(sluice, screened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_DATABASE_URL", f"sqlite:///{screened}")
    done = sluice("query", "--json")
    assert (done.status, done.stderr) == (0, "")


def test_no_database_yet_is_one_line_and_makes_none(sluice, tmp_path: Path) -> None:
    done = sluice("query")
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert "sluice screen" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_left_alone(sluice, tmp_path: Path) -> None:
    path, content = tmp_path / "alien.db", b"not a database at all, just some text\n" * 40
    path.write_bytes(content)
    done = sluice("query", "--db", path)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert "alien.db" in done.stderr
    assert path.read_bytes() == content


def test_an_alien_sqlite_file_is_left_alone(sluice, tmp_path: Path) -> None:
    path = tmp_path / "music.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE song (title TEXT)")
    connection.close()
    before = path.read_bytes()
    for arguments in (("query",), ("campaign", "list"), ("db", "upgrade"), ("db", "check")):
        done = sluice(*arguments, "--db", path)
        assert (done.status, len(done.stderr.splitlines())) == (2, 1)
        assert "music.db" in done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("url", ["mysql://localhost/x", "no/such/folder/x.db", "sqlite://", "postgresql://"])
def test_a_url_that_leads_nowhere_is_one_line(sluice, url: str) -> None:
    done = sluice("query", "--db", url)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_a_wrong_setting_is_one_line(sluice, screened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_ACTORS", "many")
    done = sluice("query", "--db", screened)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert "SLUICE_ACTORS" in done.stderr


def test_db_upgrade_makes_a_database_that_check_accepts(sluice, tmp_path: Path) -> None:
    assert sluice("db", "upgrade", "--db", tmp_path / "new.db").status == 0
    done = sluice("db", "check", "--db", tmp_path / "new.db")
    assert done.status == 0
    assert "0 campaigns" in done.stdout
