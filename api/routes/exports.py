"""/v1/candidates.csv, .jsonl and .parquet: all candidates of a query in one stream, whatever their number."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.access import MayRead
from api.errors import TooManyExports
from api.formats import Row, csv_texts, json_lines, parquet_pieces
from api.parameters import Asked
from api.problems import problems
from api.service import EXPORTS, Serving
from storage.campaigns import read_campaign
from storage.engine import reading
from storage.queries import columns, query

router = APIRouter(prefix="/v1", tags=["candidates"])
RETRY_SECONDS = 2


class ExportFormat(StrEnum):
    """A format by its file's suffix."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


Pieces = Iterable[str] | Iterable[bytes]
WRITERS: Mapping[ExportFormat, tuple[str, Callable[[list[str], Iterable[Row]], Pieces]]] = {
    ExportFormat.CSV: ("text/csv", csv_texts),
    ExportFormat.JSONL: ("application/jsonl", json_lines),
    ExportFormat.PARQUET: ("application/vnd.apache.parquet", parquet_pieces),
}
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "campaign,formula,verdict,score,…\n1,CdTe,…\n"},
            "application/jsonl": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def _session(caller: MayRead, service: Serving) -> Iterator[Session]:
    """A view of one moment, held until the response has gone or its reader has."""
    if not service.exports.acquire(blocking=False):
        raise TooManyExports(EXPORTS, RETRY_SECONDS)
    try:
        with reading(service.engine) as session:
            yield session
    finally:
        service.exports.release()


@router.get(
    "/candidates.{form}", summary="Export candidates", response_class=StreamingResponse,
    responses=CONTENT | problems(404, 503),
)  # fmt: skip
def export(session: Annotated[Session, Depends(_session)], form: ExportFormat, asked: Asked) -> StreamingResponse:
    """All candidates that a filter selects as they are at one moment, in the columns of `sluice query`."""
    if asked.campaign_id is not None:
        read_campaign(session, asked.campaign_id)
    media_type, write = WRITERS[form]
    name = {"Content-Disposition": f'attachment; filename="candidates.{form}"'}
    return StreamingResponse(write(columns(session), query(session, asked)), media_type=media_type, headers=name)
