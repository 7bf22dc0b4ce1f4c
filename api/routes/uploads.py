"""/v1/uploads: a campaign over the formulas of a file that comes with the request."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import Engine

from api.access import MayRun
from api.errors import InvalidRequest
from api.problems import problems
from api.service import Serving
from api.spec_bodies import PLACE, check_model_names, read_tables
from api.views.campaigns import CampaignStatus, read_status
from scheduler.campaigns import create_campaign, pause_campaign, resume_campaign
from scheduler.sources import ingest
from scheduler.spec import CampaignSpec, FileSource, parse_spec
from storage.engine import reading
from workers.errors import UserError
from workers.formula_files import read_formulas

router = APIRouter(prefix="/v1", tags=["campaigns"])
PATH = f"{router.prefix}/uploads"
LARGEST_FILE = 32 << 20  # bytes; larger ones are for `sluice screen`
MOST_LINES = 5_000_000
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file: CSV, text with a formula a line, or Parquet; its name says which, also .gz and .zst.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@dataclass(frozen=True, slots=True)
class Labels:
    """What a file is called, where its formulas stand, and what shall be done with them."""

    filename: Annotated[
        str,
        Query(
            min_length=1,
            max_length=60,
            pattern=r"^[^/\\.\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*$",
            description="What the file is called.",
            examples=["formulas.csv"],
        ),
    ]
    spec: Annotated[
        str,
        Query(max_length=4000, description="The rest of the spec as JSON.", examples=['{"name": "mine"}']),
    ] = "{}"
    column: Annotated[
        str | None, Query(max_length=200, description="The column of formulas; `formula`, else the first, unless told.")
    ] = None


@router.post(
    "/uploads", status_code=201, summary="Create a campaign from a file", responses=problems(409, 413),
    openapi_extra=BODY, response_description="The campaign, which begins to run.",
)  # fmt: skip
async def upload(
    caller: MayRun,
    request: Request,
    service: Serving,
    response: Response,
    labels: Annotated[Labels, Depends()],
) -> CampaignStatus:
    """Keep a file's formulas with a new campaign; bad lines are counted and told, as `sluice screen` does."""
    with TemporaryDirectory(prefix="sluice-upload-") as folder:
        path = Path(folder) / labels.filename
        async with await anyio.open_file(path, "wb") as file:
            async for piece in request.stream():
                await file.write(piece)
        source = FileSource(kind="file", path=str(path), column=labels.column)
        try:
            campaign_id = await run_sync(_created, service.engine, labels.spec, source)
        except UserError as exc:  # clients know the file by its name alone
            raise InvalidRequest(str(exc).replace(str(path), labels.filename)) from exc
    response.headers["Location"] = f"/v1/campaigns/{campaign_id}"
    return await run_sync(_status, service.engine, campaign_id)


def _created(engine: Engine, text: str, source: FileSource) -> int:
    spec = _spec(text, source)
    lines = read_formulas(Path(source.path), source.column)
    if sum(1 for _ in islice(lines, MOST_LINES + 1)) > MOST_LINES:
        raise InvalidRequest(f"{Path(source.path).name}: at most {MOST_LINES} lines are expected")
    campaign_id = create_campaign(engine, spec)
    pause_campaign(engine, campaign_id)  # nobody else may look for the file, which is gone once it is kept
    ingest(engine, campaign_id, source, lambda lines: None)
    resume_campaign(engine, campaign_id)
    return campaign_id


def _spec(text: str, source: FileSource) -> CampaignSpec:
    tables = read_tables("application/json", text.encode(errors="replace"))
    given = {"name": Path(source.path).name, **tables, "source": source.model_dump()}
    spec = parse_spec(given, PLACE)
    check_model_names(spec)
    return spec


def _status(engine: Engine, campaign_id: int) -> CampaignStatus:
    with reading(engine) as session:
        return read_status(session, campaign_id)
