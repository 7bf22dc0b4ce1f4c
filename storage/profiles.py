"""Profiles: all that is stored about one candidate."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from storage.candidates import BUILT_IN, STD
from storage.errors import NotFound
from storage.failures import Failure, read_failures
from storage.tables import (
    CampaignModelTable,
    CampaignReferenceTable,
    CandidateTable,
    ExplanationTable,
    PropertyTable,
    ReferenceSetTable,
    StructureTable,
)

SHOWN_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Profile:
    """A candidate with its predictions (value, standard deviation), structures best first, explanations, failures; the
    hull says whose phases `structure_e_above_hull` is above, and which model told the energy."""

    id: int
    campaign_id: int
    formula: str
    elements: tuple[str, ...]
    score: float | None
    verdict: str | None
    reason: str | None
    space_group: int | None
    known_composition: str | None
    known_structure: str | None
    hull: dict[str, Any] | None
    predictions: dict[str, tuple[float, float | None]]
    structures: tuple[dict[str, Any], ...]
    explanations: tuple[dict[str, Any], ...]
    failures: tuple[Failure, ...]


def read_profile(session: Session, formula_or_id: str, campaign_id: int | None = None) -> Profile:
    """The candidate with this id, or the latest with this canonical formula; raises NotFound."""
    mine = CandidateTable.id == int(formula_or_id) if _is_id(formula_or_id) else CandidateTable.formula == formula_or_id
    statement = select(*CandidateTable.__table__.columns).where(mine, CandidateTable.surplus.is_(False))
    if campaign_id is not None:
        statement = statement.where(CandidateTable.campaign_id == campaign_id)
    row = session.execute(statement.order_by(CandidateTable.campaign_id.desc()).limit(1)).one_or_none()
    if row is None:
        raise NotFound("candidate", formula_or_id, "the formula or id of a stored candidate is expected")
    return _profile(session, row)


def _profile(session: Session, row: Row[Any]) -> Profile:
    return Profile(
        id=row.id,
        campaign_id=row.campaign_id,
        formula=row.formula,
        elements=tuple(row.chemical_system.split("-")),
        score=row.score,
        verdict=row.verdict,
        reason=row.reason,
        space_group=row.space_group,
        known_composition=row.known_composition,
        known_structure=row.known_structure,
        hull=_hull(session, row),
        predictions=_predictions(session, row),
        structures=_rows(session, StructureTable, row.id, "rank"),
        explanations=_rows(session, ExplanationTable, row.id, "property"),
        failures=tuple(read_failures(session, row.campaign_id, SHOWN_FAILURES, row.formula)),
    )


def _predictions(session: Session, row: Row[Any]) -> dict[str, tuple[float, float | None]]:
    values = row._mapping
    found = {name: (values[name], values[name + STD]) for name in BUILT_IN if values[name] is not None}
    columns = (PropertyTable.property, PropertyTable.value, PropertyTable.std)
    added = select(*columns).where(PropertyTable.candidate_id == row.id).order_by(PropertyTable.property)
    return found | {name: (value, std) for name, value, std in session.execute(added)}


def _hull(session: Session, row: Row[Any]) -> dict[str, Any] | None:
    """The set of references that a candidate's hull is of, where it is not the model's own estimate."""
    if row.hull_references is None:
        return None
    role = (CampaignModelTable.campaign_id == row.campaign_id, CampaignModelTable.role == "structure")
    found: dict[str, Any] = {"references": row.hull_references}
    found |= {"model": session.scalar(select(CampaignModelTable.model_id).where(*role))}
    used = select(ReferenceSetTable.level, ReferenceSetTable.digest).join(CampaignReferenceTable)
    mine = (CampaignReferenceTable.campaign_id == row.campaign_id, ReferenceSetTable.title == row.hull_references)
    named = session.execute(used.where(*mine)).mappings().one_or_none()
    return found | dict(named or {})


def _rows(
    session: Session, table: type[StructureTable] | type[ExplanationTable], candidate_id: int, order: str
) -> tuple[dict[str, Any], ...]:
    columns = [column for column in table.__table__.columns if column.name not in ("id", "candidate_id")]
    statement = select(*columns).where(table.candidate_id == candidate_id).order_by(table.__table__.columns[order])
    return tuple(dict(row) for row in session.execute(statement).mappings())


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
