"""/v1/campaigns/{id}/events: how a campaign goes, told as it happens."""

from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.access import MayRead
from api.parameters import CampaignId
from api.problems import problems
from api.service import Service, Serving
from api.views.campaigns import CampaignStatus, read_status
from storage.campaigns import read_campaign
from storage.engine import reading

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])
LOOK_SECONDS = 0.5


def _existing(caller: MayRead, campaign_id: CampaignId, service: Serving) -> int:
    """The id of a campaign that there is; once the stream has begun it is too late to say that there is none."""
    with reading(service.engine) as session:  # closed before the stream begins, which may last for days
        return read_campaign(session, campaign_id).id


@router.get(
    "/{id}/events", summary="Watch a campaign live", response_class=EventSourceResponse, responses=problems(404)
)
async def events(campaign_id: Annotated[int, Depends(_existing)], service: Serving) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `progress` with the campaign's status at once and after each change, `end` with its last.

    The stream ends with the campaign; a comment now and then keeps the connection open.
    """
    told: CampaignStatus | None = None
    while True:
        status = await run_sync(_look, service, campaign_id)
        if status.ended:
            yield ServerSentEvent(event="end", data=status)
            return
        if status != told:
            yield ServerSentEvent(event="progress", data=status)
            told = status
        await anyio.sleep(LOOK_SECONDS)


def _look(service: Service, campaign_id: int) -> CampaignStatus:
    with reading(service.engine) as session:
        return read_status(session, campaign_id)
