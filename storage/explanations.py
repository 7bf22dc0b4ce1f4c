"""Explanations: which sets of elements make a model predict a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from storage.candidates import candidate_ids
from storage.rows import add_rows
from storage.tables import ExplanationTable

Interactions = Sequence[tuple[Sequence[str], float]]


@dataclass(frozen=True, slots=True)
class NewExplanation:
    """Baseline plus the sum of the interactions is the value, in the property's unit."""

    formula: str
    property: str
    index: str
    order: int
    baseline: float
    value: float
    interactions: Interactions


def record_explanations(session: Session, campaign_id: int, rows: Sequence[NewExplanation]) -> None:
    """Store explanations of candidates that stand; those that are stored already stay as they are."""
    ids = candidate_ids(session, campaign_id, {row.formula for row in rows})
    ordered = sorted(rows, key=lambda row: (row.formula, row.property, row.index, row.order))
    add_rows(session, ExplanationTable, [_row(ids[row.formula], row) for row in ordered if row.formula in ids])


def _row(candidate_id: int, row: NewExplanation) -> dict[str, Any]:
    return {
        "candidate_id": candidate_id,
        "property": row.property,
        "index": row.index,
        "order": row.order,
        "baseline": row.baseline + 0.0,  # no signed zero, see known
        "value": row.value + 0.0,
        "interactions": [[list(players), number + 0.0] for players, number in row.interactions],
    }
