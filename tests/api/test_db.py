"""`sluice db`: what a user types, and what a program reads."""

import json
import sqlite3
from pathlib import Path

from storage.schema import VERSION_TABLE


def test_a_backup_is_a_database_and_comes_back(sluice, screened: Path, tmp_path: Path) -> None:
    file, fresh = tmp_path / "monday.db", tmp_path / "fresh.db"
    assert sluice("db", "backup", file, "--db", screened).status == 0
    assert sluice("db", "restore", file, "--db", fresh).status == 0
    for database in (file, fresh):
        checked = json.loads(sluice("db", "check", "--json", "--db", database).stdout)
        assert (checked["campaigns"], checked["flaws"]) == (1, [])
        assert sluice("query", "--db", database, "--format", "csv").stdout == (
            sluice("query", "--db", screened, "--format", "csv").stdout
        )


def test_nothing_is_overwritten_unless_told(sluice, screened: Path, database: Path, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    assert sluice("db", "backup", file, "--db", screened).status == 0
    for command in (("backup", file, "--db", screened), ("restore", file, "--db", database)):
        refused = sluice("db", *command)
        assert (refused.status, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
        assert "--yes" in refused.stderr
        assert sluice("db", *command, "--yes").status == 0


def test_what_is_no_backup_is_refused_in_one_line(sluice, tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    assert sluice("db", "upgrade", "--db", newer).status == 0
    connection = sqlite3.connect(newer)
    connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.commit()
    connection.close()
    (tmp_path / "text.db").write_text("no database")
    for name, part in (
        ("newer.db", "newer than this Sluice"),
        ("text.db", "not a database"),
        ("none.db", "no such file"),
    ):
        refused = sluice("db", "restore", tmp_path / name, "--db", tmp_path / "target.db")
        assert (refused.status, refused.stderr.count("\n")) == (2, 1)
        assert part in refused.stderr
    itself = sluice("db", "restore", tmp_path / "target.db", "--db", tmp_path / "target.db")
    assert itself.status == 2 and "the database itself" in itself.stderr


def test_check_fails_where_something_is_missing(sluice, database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("DELETE FROM candidate_element WHERE element = 'Ga'")
    connection.commit()
    connection.close()
    done = sluice("db", "check", "--db", database)
    assert done.status == 1
    assert "of them stand" in done.stdout and done.stderr.count("\n") == 1
    assert json.loads(sluice("db", "check", "--json", "--db", database).stdout)["flaws"]
