"""/v1/campaigns: created, listed, watched, weighed, paused, resumed, cancelled, reported."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Response
from sqlalchemy import Engine

from api.access import MayRead, MayRun
from api.idempotency import IdempotencyKey, once
from api.parameters import LARGEST, CampaignId
from api.problems import problems
from api.service import Reading, Serving
from api.spec_bodies import spec_of
from api.views.campaigns import CampaignList, CampaignStatus, brief, read_status
from api.views.reports import CampaignReport, read_report
from scheduler.campaigns import cancel_campaign, create_campaign, pause_campaign, resume_campaign, weigh_campaign
from scheduler.spec import CampaignSpec
from storage.campaigns import latest_campaigns
from storage.engine import reading
from storage.states import MOST_PRIORITY, CampaignState

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])
EXAMPLE = {
    "name": "tellurides",
    "source": {"kind": "enumerate", "cations": ["Ba", "Cd", "Zn"], "anions": ["Te", "Se"]},
    "predict": {"where": "band_gap >= 1.1 AND band_gap <= 1.6", "score": "-e_above_hull"},
    "csp": {"top": 20, "structures": 8},
    "explain": {"top": 10},
}
PROPOSED = {
    "name": "new absorbers",
    "source": {"kind": "generate", "count": 2000, "band_gap": 1.4, "novel": True, "charge_balanced": True},
    "predict": {"where": "band_gap >= 1.1 AND band_gap <= 1.7 AND e_above_hull <= 0.1"},
    "csp": {"top": 20, "structures": 4},
}
TOML = """name = "tellurides"
[source]
kind = "list"
formulas = ["BaTe", "CdTe", "ZnTe"]
[csp]
top = 2
"""
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The spec, as `sluice screen` takes it; its source is `enumerate`, `generate` or `list`.",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/CampaignSpec"},
                "examples": {"enumerated": {"value": EXAMPLE}, "generated": {"value": PROPOSED}},
            },
            "application/toml": {"schema": {"type": "string"}, "example": TOML},
        },
    }
}


@router.post(
    "", status_code=201, summary="Create a campaign", responses=problems(409, 413, 415), openapi_extra=BODY,
    response_description="The campaign, which begins to run.",
)  # fmt: skip
def create(
    caller: MayRun,
    spec: Annotated[CampaignSpec, Depends(spec_of)],
    service: Serving,
    response: Response,
    key: IdempotencyKey = None,
) -> CampaignStatus:
    """Store a campaign; it runs as soon as there is room. Its results do not depend on how the work is cut."""
    campaign_id = create_campaign(service.engine, spec, once(caller, key, spec))
    response.headers["Location"] = f"/v1/campaigns/{campaign_id}"
    return _status(service.engine, campaign_id)


@router.get("", summary="List campaigns", responses=problems())
def listed(
    caller: MayRead,
    session: Reading,
    state: CampaignState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only campaigns with smaller ids.")] = None,
) -> CampaignList:
    """Campaigns, newest first."""
    found = latest_campaigns(session, limit + 1, before, state)
    shown = found[:limit]
    return CampaignList(data=[brief(each) for each in shown], next=shown[-1].id if len(found) > limit else None)


@router.get("/{id}", summary="Watch a campaign", responses=problems(404))
def status(caller: MayRead, campaign_id: CampaignId, session: Reading) -> CampaignStatus:
    """The spec, how far each stage is, and what became of its inputs."""
    return read_status(session, campaign_id)


@router.get("/{id}/report", summary="A campaign's results", responses=problems(404))
def report(
    caller: MayRead,
    campaign_id: CampaignId,
    session: Reading,
    top: Annotated[int, Query(ge=1, le=100, description="Best candidates to show.")] = 10,
) -> CampaignReport:
    """The best candidates as they stand, the funnel, and what all explanations say together."""
    return read_report(session, campaign_id, top)


@router.put("/{id}/priority", summary="Weigh a campaign", responses=problems(404, 409))
def weigh(
    caller: MayRun,
    campaign_id: CampaignId,
    service: Serving,
    priority: Annotated[int, Body(ge=1, le=MOST_PRIORITY, embed=True, examples=[20])],
) -> CampaignStatus:
    """Give it another share of the work: of two, one with twice the priority gets twice the chunks."""
    weigh_campaign(service.engine, campaign_id, priority)
    return _status(service.engine, campaign_id)


@router.post("/{id}/pause", summary="Pause a campaign", responses=problems(404, 409))
def pause(caller: MayRun, campaign_id: CampaignId, service: Serving) -> CampaignStatus:
    """Let chunks under way end and start no others; one that is paused already stays so."""
    if _status(service.engine, campaign_id).state != CampaignState.PAUSED:
        pause_campaign(service.engine, campaign_id)
    return _status(service.engine, campaign_id)


@router.post("/{id}/resume", summary="Resume a campaign", responses=problems(404, 409))
def resume(caller: MayRun, campaign_id: CampaignId, service: Serving) -> CampaignStatus:
    """Let a paused or failed campaign go on; one that runs or is done stays as it is."""
    resume_campaign(service.engine, campaign_id)
    return _status(service.engine, campaign_id)


@router.post("/{id}/cancel", summary="Cancel a campaign", responses=problems(404, 409))
def cancel(caller: MayRun, campaign_id: CampaignId, service: Serving) -> CampaignStatus:
    """End a campaign for good; what it found stays."""
    if _status(service.engine, campaign_id).state != CampaignState.CANCELLED:
        cancel_campaign(service.engine, campaign_id)
    return _status(service.engine, campaign_id)


def _status(engine: Engine, campaign_id: int) -> CampaignStatus:
    with reading(engine) as session:
        return read_status(session, campaign_id)
