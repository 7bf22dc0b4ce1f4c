from dataclasses import replace
from pathlib import Path

from api.connection import database_words
from scheduler.settings import load_settings


def test_the_next_command_is_told_its_database_but_no_password(tmp_path: Path) -> None:
    settings = load_settings({})
    assert database_words(settings) == []
    file = tmp_path / "a file%20?.db"
    assert database_words(replace(settings, database_url=f"sqlite:///{file}")) == ["--db", f"'{file}'"]
    url = "postgresql://sluice:s3cret@db.example/sluice"
    words = database_words(replace(settings, database_url=url))
    assert words == ["--db", "'postgresql://sluice:***@db.example/sluice'"]
