"""A disk that is nearly full ends a run in one line, before anything is lost."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.campaigns import create_campaign
from scheduler.errors import DiskFull
from scheduler.runs import LEAST_FREE, run_campaign
from scheduler.settings import load_settings
from scheduler.spec import parse_spec
from storage.campaigns import read_campaign
from storage.engine import open_database, reading
from storage.states import CampaignState

SOURCE = {"kind": "enumerate", "cations": ["Cs", "Pb"], "anions": ["I"]}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={LEAST_FREE // 2}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("only root mounts a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_keeps_the_campaign(small_disk: Path) -> None:
    settings = load_settings({"SLUICE_DATABASE_URL": f"sqlite:///{small_disk / 'x.db'}"})
    engine = open_database(settings.database_url)
    campaign = create_campaign(engine, parse_spec({"name": "full", "source": SOURCE}, "test"))
    with pytest.raises(DiskFull, match="free some space and resume campaign 1"):
        run_campaign(settings, engine, campaign, lambda report: None)
    with reading(engine) as session:
        assert read_campaign(session, campaign).state == CampaignState.RUNNING
    engine.dispose()
