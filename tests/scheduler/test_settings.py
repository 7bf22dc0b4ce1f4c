"""Settings: the embedded default, the three addresses, and bad values."""

import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.errors import InvalidSetting
from scheduler.settings import child_environment, load_settings


def test_silent_environment_means_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings({})
    assert settings.database_url == f"sqlite:///{tmp_path}/sluice.db"
    assert settings.embedded_broker and settings.ray_address is None
    assert settings.folder.parent == tmp_path


def test_addresses_are_taken_from_the_environment() -> None:
    urls = {
        "SLUICE_DATABASE_URL": "postgresql://host/base",
        "SLUICE_BROKER_URL": "redis://host/0",
        "SLUICE_RAY_ADDRESS": "host:6379",
    }
    settings = load_settings(urls)
    assert (settings.database_url, settings.broker_url, settings.ray_address) == tuple(urls.values())
    assert not settings.embedded_broker
    assert settings.folder == load_settings(urls).folder != load_settings({}).folder


def test_addresses_with_passwords_may_lie_in_files(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://sluice:word@host/base\n")
    settings = load_settings({"SLUICE_DATABASE_URL_FILE": str(secret)})
    assert settings.database_url == "postgresql://sluice:word@host/base"
    assert load_settings(child_environment(settings)).database_url == settings.database_url
    with pytest.raises(InvalidSetting, match="SLUICE_BROKER_URL_FILE='/nowhere': No such file"):
        load_settings({"SLUICE_BROKER_URL_FILE": "/nowhere"})


def test_database_asked_for_wins_over_the_environment() -> None:
    assert load_settings({"SLUICE_DATABASE_URL": "sqlite:///a.db"}, "sqlite:///b.db").database_url == "sqlite:///b.db"


def test_children_read_the_same_settings() -> None:
    settings = load_settings({"SLUICE_DATABASE_URL": "sqlite:////tmp/x.db", "SLUICE_ACTORS": "3"})
    assert load_settings(child_environment(settings)) == settings


@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_bad_count_names_variable_and_value(value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"SLUICE_ACTORS='{value}': expected a whole number"):
        load_settings({"SLUICE_ACTORS": value})


def test_import_brings_neither_torch_nor_ray() -> None:
    code = "import sys, scheduler.settings, scheduler.spec, scheduler.tick; print({'torch', 'ray'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
