"""Campaigns as programs see them."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.progress import totals
from storage.campaigns import Campaign, read_campaign
from storage.failures import count_failures
from storage.funnels import StageReport, funnel
from storage.models import campaign_models
from storage.sources import source_counts
from storage.states import CampaignState, ChunkState, StageName


class CampaignBrief(BaseModel):
    """A campaign in a list."""

    id: int
    name: str
    state: CampaignState
    seed: int
    code_version: str
    priority: int = Field(description="Its share of the work beside other campaigns.")
    created_at: datetime
    finished_at: datetime | None


class SourceLines(BaseModel):
    """The lines of a source file: input = unique + invalid + duplicate; zeros for a source that is no file."""

    input: int
    unique: int
    invalid: int
    duplicate: int


class StageProgress(BaseModel):
    """How far a stage is: its input ended as survived + rejected + duplicate + invalid + failed."""

    stage: StageName
    closed: bool
    total: int | None = Field(description="Inputs that there will be; null until the stage before has closed.")
    input: int
    survived: int
    rejected: int
    duplicate: int
    invalid: int
    failed: int
    chunks: dict[ChunkState, int]
    rate: float | None = Field(description="Inputs per second since the stage began.")
    seconds_left: float | None


class CampaignStatus(CampaignBrief):
    """A campaign: what was asked, which models answer, and how far each stage is."""

    spec: dict[str, Any]
    models: dict[str, str] = Field(description="The sha256 of the weights of each role's model.")
    source: SourceLines
    stages: list[StageProgress]
    failures: dict[str, int]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state not in (CampaignState.RUNNING, CampaignState.PAUSED)


class CampaignList(BaseModel):
    """Campaigns, newest first, and the cursor of the next page."""

    data: list[CampaignBrief]
    next: int | None = Field(description="The `before` of the next page; null on the last.")


def brief(campaign: Campaign) -> CampaignBrief:
    """A campaign in a list."""
    return CampaignBrief(**_fields(campaign))


def read_status(session: Session, campaign_id: int) -> CampaignStatus:
    """All that is known of a campaign but its candidates; raises NotFound."""
    campaign = read_campaign(session, campaign_id)
    reports = funnel(session, campaign_id)
    expected = totals(campaign.spec, reports)
    return CampaignStatus(
        **_fields(campaign),
        spec=campaign.spec,
        models=campaign_models(session, campaign_id),
        source=SourceLines.model_validate(source_counts(session, campaign_id), from_attributes=True),
        stages=[stage_progress(report, expected[report.name]) for report in reports],
        failures=count_failures(session, campaign_id),
    )


def stage_progress(report: StageReport, total: int | None) -> StageProgress:
    """A stage of which so many inputs are expected."""
    counts = report.counts
    left = None if total is None or report.closed or not report.rate else (total - counts.input) / report.rate
    ends = {name: getattr(counts, name) for name in type(counts).__slots__ if name in StageProgress.model_fields}
    return StageProgress(
        stage=report.name, closed=report.closed, total=total, chunks=report.chunks, rate=report.rate, seconds_left=left,
        **ends,
    )  # fmt: skip


def _fields(campaign: Campaign) -> dict[str, Any]:
    same = {name: getattr(campaign, name) for name in ("id", "name", "state", "seed", "code_version", "priority")}
    finished = None if campaign.finished_at is None else moment(campaign.finished_at)
    return same | {"created_at": moment(campaign.created_at), "finished_at": finished}


def moment(seconds: float) -> datetime:
    """A moment in unix seconds as a date."""
    return datetime.fromtimestamp(seconds, UTC)
