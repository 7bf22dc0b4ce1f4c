"""Specs as they are being typed: all that does not fit, and how large a campaign it would be."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from api.access import MayRead
from api.spec_bodies import PLACE, check_model_names, tables_of
from scheduler.campaigns import model_cards
from scheduler.sources import check_source
from scheduler.spec import FormulaFile, flaws, parse_spec
from workers.errors import UserError

router = APIRouter(prefix="/page", include_in_schema=False)


class SpecCheck(BaseModel):
    """A line for each flaw; without one, how many compositions the source has, where that is known."""

    flaws: list[str]
    size: int | None = None


@router.post("/spec")
def check(caller: MayRead, tables: Annotated[dict[str, Any], Depends(tables_of)]) -> SpecCheck:
    """What creating a campaign from this spec would say, without creating it."""
    if found := flaws(tables):
        return SpecCheck(flaws=found)
    try:
        spec = parse_spec(tables, PLACE)
        check_model_names(spec)
        model_cards(spec)
        size = None if isinstance(spec.source, FormulaFile) else check_source(spec.source)
    except UserError as exc:
        return SpecCheck(flaws=[" ".join(str(exc).split())])
    return SpecCheck(flaws=[], size=size)
