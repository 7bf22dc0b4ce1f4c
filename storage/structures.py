"""Structures: the crystals of candidates, best first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from storage.candidates import candidate_ids
from storage.rows import add_rows, batches, known
from storage.tables import CandidateTable, StructureTable


@dataclass(frozen=True, slots=True)
class NewStructure:
    """A crystal of a candidate: rank 0 is the best, copies counts merged duplicates, energy in eV/atom."""

    formula: str
    rank: int
    sample: int
    crystal: Mapping[str, Any]
    space_group: int | None
    nsites: int
    log_likelihood: float | None = None
    energy_per_atom: float | None = None
    relaxed: bool = False
    copies: int = 1
    flaw: str | None = None


def record_structures(session: Session, campaign_id: int, rows: Sequence[NewStructure]) -> None:
    """Store structures of candidates that stand; the best one's space group becomes the candidate's."""
    ids = candidate_ids(session, campaign_id, {row.formula for row in rows})
    ordered = sorted((row for row in rows if row.formula in ids), key=lambda row: (row.formula, row.rank))
    add_rows(session, StructureTable, [_row(ids[row.formula], row) for row in ordered])
    groups = [{"_id": ids[row.formula], "_group": row.space_group} for row in ordered if row.rank == 0]
    if groups:
        mine = CandidateTable.id == bindparam("_id")
        statement = update(CandidateTable).where(mine).values(space_group=bindparam("_group"))
        session.connection().execute(statement, groups)


def best_crystals(session: Session, campaign_id: int, formulas: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The best crystal of each candidate that has one, by formula."""
    found: dict[str, dict[str, Any]] = {}
    for batch in batches(formulas):
        statement = (
            select(CandidateTable.formula, StructureTable.crystal)
            .join(StructureTable, StructureTable.candidate_id == CandidateTable.id)
            .where(CandidateTable.campaign_id == campaign_id, CandidateTable.formula.in_(batch))
            .where(StructureTable.rank == 0)
        )
        found |= dict(session.execute(statement).all())
    return found


def _row(candidate_id: int, row: NewStructure) -> dict[str, Any]:
    values = {name: value for name, value in asdict(row).items() if name != "formula"}
    numbers = {name: known(values[name]) for name in ("log_likelihood", "energy_per_atom")}
    return {"candidate_id": candidate_id, **values, **numbers}
