"""Running a campaign to its end on this host."""

import shutil
import time
from collections.abc import Callable

from sqlalchemy import Engine

from scheduler.campaigns import check_models
from scheduler.errors import CampaignFailed, DiskFull
from scheduler.outages import sat_out
from scheduler.settings import Settings
from scheduler.sources import ingest
from scheduler.spec import CampaignSpec, FormulaFile
from scheduler.supervisor import machine
from storage.campaigns import Campaign, read_campaign
from storage.engine import reading
from storage.funnels import StageReport, funnel
from storage.snapshots import snapshot
from storage.stages import read_stages
from storage.states import CampaignState, ChunkState

LOOK_SECONDS = 0.25
LEAST_FREE = 32 << 20  # bytes that a record transaction, its log and the machine's own logs may need
Progress = Callable[[list[StageReport]], None]


def run_campaign(settings: Settings, engine: Engine, campaign_id: int, on_progress: Progress) -> Campaign:
    """Block until a campaign runs no more, and return it as it then stands.

    Raises CampaignFailed, MachineFailed, OtherModels, and DiskFull before the last of the disk is gone.
    Where another process runs this host's machine already, that one does the work.
    """
    while (campaign := _read(engine, campaign_id)).state == CampaignState.RUNNING:
        check_disk(settings, campaign_id)
        check_models(engine, campaign)
        with machine(settings, engine) as running:
            keep_source(engine, campaign, lambda lines: running.check(time.monotonic()) if running else None)
            while running is not None and _busy(engine, campaign_id):
                running.check(time.monotonic())
                check_disk(settings, campaign_id)
                with sat_out(engine):
                    _tell(engine, campaign_id, on_progress)
        if running is None:
            _tell(engine, campaign_id, on_progress)
    _tell(engine, campaign_id, on_progress, seconds=0)
    if campaign.state == CampaignState.FAILED:
        raise CampaignFailed(campaign_id, _why(engine, campaign_id))
    return campaign


def check_disk(settings: Settings, campaign_id: int) -> None:
    """Raise DiskFull before the last of the disk is gone."""
    folder = next(path for path in (settings.folder, *settings.folder.parents) if path.exists())
    if shutil.disk_usage(folder).free < LEAST_FREE:
        raise DiskFull(folder, LEAST_FREE >> 20, campaign_id)


def keep_source(engine: Engine, campaign: Campaign, on_lines: Callable[[int], None]) -> None:
    """Read the source file into the database unless that was done; what has come can be screened meanwhile."""
    source = CampaignSpec.model_validate(campaign.spec).source
    with reading(engine) as session:
        first = read_stages(session, campaign.id)[0]
    if isinstance(source, FormulaFile) and first.source_size is None:
        ingest(engine, campaign.id, source, on_lines)


def _busy(engine: Engine, campaign_id: int) -> bool:
    """Whether the campaign runs, or was paused while some of its chunks run to their end."""
    with sat_out(engine), reading(engine) as session:
        state = read_campaign(session, campaign_id).state
        if state != CampaignState.PAUSED:
            return state == CampaignState.RUNNING
        return any(report.chunks.get(ChunkState.RUNNING) for report in funnel(session, campaign_id))
    return True


def _read(engine: Engine, campaign_id: int) -> Campaign:
    with reading(engine) as session:
        return read_campaign(session, campaign_id)


def _tell(engine: Engine, campaign_id: int, on_progress: Progress, seconds: float = LOOK_SECONDS) -> None:
    with reading(engine) as session:
        report = funnel(session, campaign_id)
    on_progress(report)
    time.sleep(seconds)


def _why(engine: Engine, campaign_id: int) -> str:
    with reading(engine) as session:
        campaigns = [view for view in snapshot(session).campaigns if view.id == campaign_id]
    chunks = [chunk for campaign in campaigns for view in campaign.stages for chunk in (*view.waiting, *view.active)]
    return next((chunk.reason for chunk in chunks if chunk.reason), "no reason is known")
