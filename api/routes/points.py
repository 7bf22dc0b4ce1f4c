"""/v1/candidates/points: two properties of many candidates, for plots."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import MayRead
from api.parameters import Asked
from api.problems import problems
from api.service import PATIENCE, Reading
from storage.campaigns import read_campaign
from storage.deadlines import deadline
from storage.points import read_points

router = APIRouter(prefix="/v1/candidates", tags=["candidates"])
MOST = 10_000
Axis = Annotated[str, Query(max_length=200, description="A column that holds numbers.", examples=["band_gap"])]


class PlotPoint(BaseModel):
    """A candidate by its two numbers."""

    id: int
    formula: str
    x: float
    y: float


class PlotPoints(BaseModel):
    """The points of a plot."""

    points: list[PlotPoint]
    exact: bool = Field(description="Whether these are all; else they were drawn at random, the same each time.")


@router.get("/points", summary="Candidates as points of a plot", responses=problems(404, 503))
def points(
    caller: MayRead,
    asked: Asked,
    session: Reading,
    x: Axis,
    y: Axis,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 4000,
) -> PlotPoints:
    """Two numbers of the candidates that a filter selects, of those that have both; the sort plays no part."""
    if asked.campaign_id is not None:
        read_campaign(session, asked.campaign_id)
    with deadline(session, PATIENCE):
        found = read_points(session, asked, (x, y), limit)
    return PlotPoints.model_validate(found, from_attributes=True)
