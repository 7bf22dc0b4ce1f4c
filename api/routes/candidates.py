"""/v1/candidates: queried page by page, and each by its id: card, structures, explanations."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.access import MayRead
from api.crystal_texts import MEDIA_TYPES, CrystalFormat, crystal_text
from api.cursors import decoded, encoded
from api.parameters import Asked, CandidateId, FilterText, Paging
from api.problems import problems
from api.service import PATIENCE, Reading
from api.views.candidates import (
    CandidateCard,
    CandidatePage,
    CandidateRow,
    ExplanationEntry,
    Total,
    card,
    explanation_entry,
)
from storage.campaigns import read_campaign
from storage.counts import count
from storage.deadlines import deadline
from storage.errors import NotFound
from storage.pages import read_page
from storage.profiles import read_profile
from workers.crystals import Crystal

router = APIRouter(prefix="/v1/candidates", tags=["candidates"])
TEXTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The structure.",
        "content": {
            "chemical/x-cif": {"schema": {"type": "string"}, "example": "data_GaAs\n_cell_length_a   4.3\n…"},
            "text/plain": {"schema": {"type": "string"}},
            "chemical/x-xyz": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


@router.get("", summary="Query candidates", responses=problems(404, 503))
def listed(
    caller: MayRead,
    asked: Asked,
    session: Reading,
    paging: Annotated[Paging, Depends()],
    text: FilterText = None,
) -> CandidatePage:
    """Candidates that a filter selects, sorted. A page goes on where the last one ended, whatever was stored since."""
    if asked.campaign_id is not None:
        read_campaign(session, asked.campaign_id)
    mine = (text, asked.campaign_id, asked.sort)
    after = None if paging.cursor is None else decoded(paging.cursor, mine)
    with deadline(session, PATIENCE):
        page = read_page(session, asked, paging.limit, after)
    return CandidatePage.model_construct(
        data=[CandidateRow.model_construct(**row) for row in page.rows],
        next=page.next and encoded(page.next, mine),
        total=Total.model_validate(count(session, asked), from_attributes=True) if paging.counted else None,
    )


@router.get("/{id}", summary="Everything known of a candidate", responses=problems(404))
def one(caller: MayRead, candidate_id: CandidateId, session: Reading) -> CandidateCard:
    """Predictions from composition and from structure, structures best first, explanations, failures."""
    return card(read_profile(session, str(candidate_id)))


@router.get(
    "/{id}/structure", summary="A structure of a candidate", response_class=Response, responses=TEXTS | problems(404)
)
def structure(
    caller: MayRead,
    candidate_id: CandidateId,
    session: Reading,
    form: Annotated[CrystalFormat, Query(alias="format", description="json is for pymatgen.")] = CrystalFormat.CIF,
    rank: Annotated[int, Query(ge=0, le=100_000, description="0 is the best.")] = 0,
) -> Response:
    """The crystal as text."""
    rows = {row["rank"]: row for row in read_profile(session, str(candidate_id)).structures}
    if rank not in rows:
        raise NotFound("structure", rank, f"candidate {candidate_id} has {len(rows)}, ranked from 0")
    text = crystal_text(Crystal.from_dict(rows[rank]["crystal"]), form)
    return Response(text, media_type=MEDIA_TYPES[form])


@router.get("/{id}/explanations", summary="Why a candidate is predicted so", responses=problems(404))
def explanations(caller: MayRead, candidate_id: CandidateId, session: Reading) -> list[ExplanationEntry]:
    """Baseline plus all interactions is the prediction; empty where the campaign explained others."""
    return [explanation_entry(row) for row in read_profile(session, str(candidate_id)).explanations]
