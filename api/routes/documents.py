"""/v1/campaigns/{id}/report.html and .md: a campaign's report as people read it."""

from enum import StrEnum

from fastapi import APIRouter
from fastapi.responses import Response

from api.access import MayRead
from api.lazy_group import load
from api.parameters import CampaignId
from api.problems import problems
from api.service import Reading
from storage.engine import describe

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])


class DocumentFormat(StrEnum):
    """How a report is written."""

    HTML = "html"
    MARKDOWN = "md"


MEDIA_TYPES = {DocumentFormat.HTML: "text/html", DocumentFormat.MARKDOWN: "text/markdown"}
# A report is nothing but text and figures, whatever a campaign is called.
HEADERS = {"Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"}
TEXT = {
    "description": "The report.",
    "content": {media: {"schema": {"type": "string"}} for media in MEDIA_TYPES.values()},
}


@router.get(
    "/{id}/report.{form}", summary="A campaign's report", response_class=Response,
    responses={200: TEXT, **problems(404)},
)  # fmt: skip
def document(caller: MayRead, campaign_id: CampaignId, form: DocumentFormat, session: Reading) -> Response:
    """The report as `sluice campaign report` writes it, with its figures inside."""
    found = load("api.reports:read_report")(session, campaign_id)
    written = load("api.reports:document")(found, describe(session.get_bind().engine))
    text = load("api.reports:render")(written, form.value)
    return Response(text, media_type=f"{MEDIA_TYPES[form]}; charset=utf-8", headers=HEADERS)
