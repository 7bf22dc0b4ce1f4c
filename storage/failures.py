"""Failures: inputs that gave no result, and why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.rows import add_rows
from storage.states import StageName
from storage.tables import FailureTable

Kind = Literal["invalid", "failed", "duplicate"]


@dataclass(frozen=True, slots=True)
class NewFailure:
    """An input that gave no result; place is where it came from, such as `line 40213`."""

    stage: StageName
    formula: str
    place: str
    kind: Kind
    reason: str
    chunk_id: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A stored failure."""

    stage: StageName
    formula: str
    place: str
    kind: Kind
    reason: str


def record_failures(session: Session, campaign_id: int, rows: Sequence[NewFailure]) -> None:
    """Store failures; those that stand already stay as they are, so that a replay doubles nothing."""
    ordered = sorted(rows, key=lambda row: (row.stage, row.kind, row.formula, row.place))
    add_rows(session, FailureTable, [{"campaign_id": campaign_id, **asdict(row)} for row in ordered])


def read_failures(session: Session, campaign_id: int, limit: int, formula: str | None = None) -> list[Failure]:
    """The first failures of a campaign, in the order in which they were stored, or those of one formula."""
    names = (getattr(FailureTable, name) for name in Failure.__slots__)
    statement = select(*names).where(FailureTable.campaign_id == campaign_id)
    if formula is not None:
        statement = statement.where(FailureTable.formula == formula)
    rows = session.execute(statement.order_by(FailureTable.id).limit(limit)).mappings()
    return [Failure(**{**row, "stage": StageName(row["stage"])}) for row in rows]


def count_failures(session: Session, campaign_id: int) -> dict[str, int]:
    """How many failures of each kind a campaign has."""
    statement = select(FailureTable.kind, func.count()).where(FailureTable.campaign_id == campaign_id)
    return dict(session.execute(statement.group_by(FailureTable.kind)).all())
