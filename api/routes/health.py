"""/v1/health: whether the server and its database answer, and who is at work."""

from importlib.metadata import version

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.access import MayRead
from api.problems import problems
from api.service import Reading
from storage.heartbeats import read_beats
from storage.leader import read_leader
from storage.schema import inspect_schema

router = APIRouter(prefix="/v1", tags=["health"])


class Health(BaseModel):
    """A server that answers, with its database."""

    status: str
    version: str
    revision: str | None = Field(description="Of the database's tables.")
    workers: int = Field(description="Worker processes that have not ended.")
    dispatcher: bool = Field(description="Whether a dispatcher leads.")


@router.get("/health", summary="Is all well?", responses=problems(503))
def health(caller: MayRead, session: Reading) -> Health:
    """The server and its database answer; a laptop's server has workers only while a campaign runs."""
    return Health(
        status="ok",
        version=version("sluice"),
        revision=inspect_schema(session.connection()).revision,
        workers=sum(beat.exited is None for beat in read_beats(session)),
        dispatcher=bool(read_leader(session).holder),
    )
