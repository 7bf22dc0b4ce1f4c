"""The whole funnel on real engines: undisturbed, killed in every stage, and on servers, always with the same rows."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.campaigns import cancel_campaign, create_campaign, pause_campaign, resume_campaign
from scheduler.processes import read_known
from scheduler.runs import run_campaign
from scheduler.settings import Settings, load_settings
from scheduler.spec import CampaignSpec, parse_spec
from storage.engine import open_database, reading
from storage.failures import count_failures
from storage.funnels import StageReport, funnel
from storage.hashes import content_hash
from storage.queries import Query, query
from storage.states import CampaignState, ChunkState, StageName

ROOT = Path(__file__).parents[2]
DRIVE = """
import sys
from scheduler.runs import run_campaign
from scheduler.settings import load_settings
from storage.engine import open_database
settings = load_settings()
run_campaign(settings, open_database(settings.database_url), int(sys.argv[1]), lambda report: None)
"""


ENUMERATED = {
    "kind": "enumerate", "cations": ["Cu", "Ba", "Ga", "In", "Sn", "Cs", "Ag", "Zn", "Pb", "Ge", "Sb"],
    "anions": ["S", "Se", "Te", "I"], "cation_counts": [2], "max_atoms": 12,
}  # fmt: skip
GENERATED = {"kind": "generate", "count": 1300, "band_gap": 1.4, "max_atoms": 8, "novel": True}


@pytest.fixture(scope="module", params=[ENUMERATED, GENERATED], ids=["enumerated", "generated"])
def spec(request: pytest.FixtureRequest) -> CampaignSpec:
    tables = {
        "source": request.param,
        "seed": 11,
        "predict": {"where": "band_gap >= 1.0 AND e_above_hull <= 0.3"},
        "csp": {"top": 6, "structures": 3, "relax_steps": 3},
        "explain": {"top": 4},
    }
    return parse_spec(tables, "test")


class Site:
    """A database with its settings."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.settings: Settings = load_settings(environment)
        self.engine: Engine = open_database(self.settings.database_url)

    def run(self, campaign: int) -> list[StageReport]:
        run_campaign(self.settings, self.engine, campaign, lambda report: None)
        return self.report(campaign)

    def report(self, campaign: int) -> list[StageReport]:
        with reading(self.engine) as session:
            return funnel(session, campaign)

    def hash(self, campaign: int) -> str:
        with reading(self.engine) as session:
            return content_hash(session, campaign)


def site(folder: Path) -> Site:
    return Site({"SLUICE_DATABASE_URL": f"sqlite:///{folder / 'test.db'}"})


@pytest.fixture(scope="module")
def undisturbed(spec: CampaignSpec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, int]:
    quiet = site(tmp_path_factory.mktemp("undisturbed"))
    campaign = create_campaign(quiet.engine, spec)
    quiet.run(campaign)
    return quiet, campaign


def test_every_input_of_every_stage_is_accounted_for(undisturbed: tuple[Site, int]) -> None:
    quiet, campaign = undisturbed
    stages = {report.name: report for report in quiet.report(campaign)}
    assert list(stages) == list(StageName)
    assert all(report.closed for report in stages.values())
    predict, csp = stages[StageName.PREDICT], stages[StageName.CSP]
    assert predict.counts.input == predict.source_size and predict.counts.input > 1024
    assert (csp.counts.input, stages[StageName.EXPLAIN].counts.input) == (6, 4)
    assert stages[StageName.JUDGE].counts.input == csp.counts.survived > 0


def test_what_is_kept_fits_the_filter_and_bears_verdicts(undisturbed: tuple[Site, int]) -> None:
    quiet, campaign = undisturbed
    with reading(quiet.engine) as session:
        rows = list(query(session, Query(filter=None, campaign_id=campaign, sort="-score", limit=None)))
    assert all(row["band_gap"] >= 1.0 and row["e_above_hull"] <= 0.3 for row in rows)
    assert {row["verdict"] for row in rows[:6]} <= {"confirmed", "disputed", "no structure"}
    judged = [row for row in rows if row["structure_band_gap"] is not None]
    assert judged and {row["formula"] for row in judged} <= {row["formula"] for row in rows[:6]}


def test_nothing_is_left_running_and_done_stays_done(undisturbed: tuple[Site, int]) -> None:
    quiet, campaign = undisturbed
    assert read_known(quiet.settings.folder) == []
    assert resume_campaign(quiet.engine, campaign).state == CampaignState.DONE
    before = time.monotonic()
    quiet.run(campaign)
    assert time.monotonic() - before < 2


def test_killed_once_in_each_stage_it_ends_with_the_same_rows(
    undisturbed: tuple[Site, int], spec: CampaignSpec, tmp_path: Path
) -> None:
    stormy = site(tmp_path)
    campaign = create_campaign(stormy.engine, spec)
    for stage in (StageName.PREDICT, StageName.EXPLAIN, StageName.CSP, StageName.JUDGE):
        kill_in(stage, stormy, campaign)
    stormy.run(campaign)
    quiet, undisturbed_campaign = undisturbed
    assert stormy.hash(campaign) == quiet.hash(undisturbed_campaign)


def test_same_rows_on_postgresql_and_redis(
    undisturbed: tuple[Site, int], spec: CampaignSpec, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    urls = {"SLUICE_DATABASE_URL": postgres_url, "SLUICE_BROKER_URL": redis_url}
    servers = Site({**urls, "SLUICE_FOLDER": str(tmp_path)})
    campaign = create_campaign(servers.engine, spec)
    servers.run(campaign)
    servers_hash = servers.hash(campaign)
    servers.engine.dispose()
    quiet, undisturbed_campaign = undisturbed
    assert servers_hash == quiet.hash(undisturbed_campaign)


def test_file_with_bad_lines_pause_and_cancel(tmp_path: Path) -> None:
    lines = ["formula", "BaTe", "NaCl", "Te1 Ba1", "Xx2O", "Fe0.62C0.38", "Ba(", "Si401C300", "CsPbI3"]
    (tmp_path / "mine.csv").write_text("\n".join(lines), encoding="utf-8")
    tables = {
        "source": {"kind": "file", "path": str(tmp_path / "mine.csv")},
        "csp": {"structures": 2, "relax_steps": 0},
    }
    here = site(tmp_path)
    campaign = create_campaign(here.engine, parse_spec(tables, "test"))
    pause_campaign(here.engine, campaign)
    assert run_campaign(here.settings, here.engine, campaign, lambda report: None).state == CampaignState.PAUSED
    resume_campaign(here.engine, campaign)
    stages = {report.name: report for report in here.run(campaign)}
    assert stages[StageName.PREDICT].counts.survived == stages[StageName.CSP].counts.input == 5
    assert stages[StageName.CSP].counts.invalid == 2  # the fractional one and the large one
    with reading(here.engine) as session:
        assert count_failures(session, campaign)["invalid"] == 2 + stages[StageName.CSP].counts.invalid
    other = create_campaign(here.engine, parse_spec(tables, "test"))
    assert cancel_campaign(here.engine, other).state == CampaignState.CANCELLED


def kill_in(stage: StageName, here: Site, campaign: int) -> None:
    """Run the campaign until a chunk of the stage runs, then kill everything at once."""
    command = [sys.executable, "-c", DRIVE, str(campaign)]
    driver = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **here.environment})
    ends = time.monotonic() + 180
    while not running(stage, here, campaign):
        assert time.monotonic() < ends and driver.poll() is None, f"no chunk of {stage} ran"
        time.sleep(0.01)
    doomed = [driver.pid, *(known.pid for known in read_known(here.settings.folder))]
    doomed += [child for pid in doomed for child in descendants(pid)]
    for pid in dict.fromkeys(doomed):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    driver.wait()


def running(stage: StageName, here: Site, campaign: int) -> bool:
    reports = [report for report in here.report(campaign) if report.name == stage]
    assert not reports[0].closed, f"{stage} ended before it could be killed"
    return reports[0].chunks.get(ChunkState.RUNNING, 0) > 0


def descendants(pid: int) -> Iterator[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    for child in map(int, listed.stdout.split()):
        yield child
        yield from descendants(child)
