"""Explanations: which sets of elements make a model predict a value."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.candidates import candidate_ids
from storage.rows import add_rows
from storage.tables import CandidateTable, ExplanationTable
from workers.explanations import Explanation

Interactions = Sequence[tuple[Sequence[str], float]]
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class NewExplanation:
    """Baseline plus the sum of the interactions is the value, in the property's unit.

    An estimate names the coalitions that it was drawn from, and one standard error for each interaction.
    """

    formula: str
    property: str
    index: str
    order: int
    baseline: float
    value: float
    interactions: Interactions
    players: str = "elements"
    budget: int | None = None
    errors: Sequence[float] | None = None


def record_explanations(session: Session, campaign_id: int, rows: Sequence[NewExplanation]) -> None:
    """Store explanations of candidates that stand; those that are stored already stay as they are."""
    ids = candidate_ids(session, campaign_id, {row.formula for row in rows})
    ordered = sorted(rows, key=lambda row: (row.formula, row.property, row.index, row.order))
    add_rows(session, ExplanationTable, [_row(ids[row.formula], row) for row in ordered if row.formula in ids])


def read_explanations(session: Session, campaign_id: int) -> Iterator[Explanation]:
    """The explanations of a campaign's candidates, by formula; candidates of work done ahead are left out."""
    columns = [column for column in ExplanationTable.__table__.columns if column.name != "candidate_id"]
    mine = (CandidateTable.campaign_id == campaign_id, CandidateTable.surplus.is_(False))
    statement = (
        select(CandidateTable.formula, *columns)
        .join(ExplanationTable, ExplanationTable.candidate_id == CandidateTable.id)
        .where(*mine)
        .order_by(CandidateTable.formula, *columns[:3])
    )
    for row in session.execute(statement.execution_options(yield_per=PAGE)).mappings():
        yield _explanation(dict(row))


def _explanation(row: dict[str, Any]) -> Explanation:
    interactions = tuple((tuple(players), float(number)) for players, number in row.pop("interactions"))
    errors = row.pop("errors")
    return Explanation(**row, interactions=interactions, errors=None if errors is None else tuple(errors))


def _row(candidate_id: int, row: NewExplanation) -> dict[str, Any]:
    return {
        "candidate_id": candidate_id,
        "property": row.property,
        "index": row.index,
        "order": row.order,
        "baseline": row.baseline + 0.0,  # no signed zero, see known
        "value": row.value + 0.0,
        "interactions": [[list(players), number + 0.0] for players, number in row.interactions],
        "players": row.players,
        "budget": row.budget,
        "errors": None if row.errors is None else [number + 0.0 for number in row.errors],
    }
