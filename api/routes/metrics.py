"""/metrics: what Prometheus reads."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from api.access import MayRead
from api.problems import problems
from api.service import Reading, Serving
from scheduler.metrics import metrics

router = APIRouter(tags=["health"])
TEXT = {"description": "Metric families as text.", "content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get("/metrics", summary="Metrics for Prometheus", responses={200: TEXT, **problems()})
def exposed(caller: MayRead, service: Serving, session: Reading) -> PlainTextResponse:
    """Chunks, rates, batches, failures, workers, from the database alone."""
    return PlainTextResponse(metrics(session, service.ledgers), media_type=CONTENT_TYPE_LATEST)
