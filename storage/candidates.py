"""Candidates: compositions that passed the predict stage, what is predicted of them and what was judged."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, RowMapping, bindparam, select, update
from sqlalchemy.orm import Session

from storage.rows import add_rows, batches, changed, known
from storage.states import STAGE_ORDER, StageName
from storage.tables import CandidateTable, ElementTable, PropertyTable
from workers.properties import REGISTRY, structure_name
from workers.spellings import spellings

STD = "_std"
PLAIN = tuple(REGISTRY)
FROM_STRUCTURE = tuple(structure_name(name) for name in REGISTRY)
BUILT_IN = PLAIN + FROM_STRUCTURE

Predictions = Mapping[str, tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class NewCandidate:
    """A survivor of the predict stage; predictions as (value, standard deviation) by property."""

    formula: str
    elements: tuple[str, ...]
    score: float | None
    predictions: Predictions


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a later stage says of a candidate; predictions bear names with the prefix structure_."""

    formula: str
    verdict: str | None
    reason: str | None
    predictions: Predictions


def record_candidates(session: Session, campaign_id: int, chunk_id: int, rows: Sequence[NewCandidate]) -> list[str]:
    """Store survivors and return the formulas that are new; the others stood already, from another chunk."""
    ordered = sorted(rows, key=lambda row: row.formula)
    add_rows(session, CandidateTable, [_row(campaign_id, chunk_id, row) for row in ordered])
    mine = select(CandidateTable.formula, CandidateTable.id).where(CandidateTable.chunk_id == chunk_id)
    ids = dict(session.execute(mine).all())
    new = [row for row in ordered if row.formula in ids]
    elements = sorted((element, ids[row.formula]) for row in new for element in row.elements)
    add_rows(session, ElementTable, [{"element": element, "candidate_id": key} for element, key in elements])
    _record_properties(session, ids, new)
    return [row.formula for row in new]


def record_judgements(session: Session, campaign_id: int, rows: Sequence[Judgement]) -> None:
    """Store verdicts, their reasons and what was predicted from the structures."""
    if not rows:
        return
    columns = [name for base in FROM_STRUCTURE for name in (base, base + STD)]
    statement = (
        update(CandidateTable)
        .where(CandidateTable.campaign_id == bindparam("_campaign"), CandidateTable.formula == bindparam("_formula"))
        .values({name: bindparam(f"_{name}") for name in ("verdict", "reason", *columns)})
    )
    ordered = sorted(rows, key=lambda row: row.formula)
    session.connection().execute(statement, [_judged(campaign_id, row) for row in ordered])
    _record_properties(session, candidate_ids(session, campaign_id, [row.formula for row in rows]), ordered)


def mark_survivors(session: Session, campaign_id: int, stage: StageName, formulas: Iterable[str]) -> None:
    """Note that these candidates passed a stage."""
    _mark(session, campaign_id, formulas, {"survived": STAGE_ORDER[stage]})


def mark_surplus(session: Session, campaign_id: int, formulas: Iterable[str]) -> None:
    """Leave these candidates out of every query, count and hash: they came of work done ahead."""
    _mark(session, campaign_id, formulas, {"surplus": True})


def candidate_ids(session: Session, campaign_id: int, formulas: Iterable[str]) -> dict[str, int]:
    """The row ids of candidates by formula."""
    found: dict[str, int] = {}
    for batch in batches(formulas):
        statement = select(CandidateTable.formula, CandidateTable.id).where(
            CandidateTable.campaign_id == campaign_id, CandidateTable.formula.in_(batch)
        )
        found |= dict(session.execute(statement).all())
    return found


def column(name: str) -> Column[Any]:
    """The candidate's column of this name."""
    return CandidateTable.__table__.columns[name]  # type: ignore[return-value]


def _row(campaign_id: int, chunk_id: int, row: NewCandidate) -> dict[str, Any]:
    reduced, anonymous = spellings(row.formula)
    return {
        "campaign_id": campaign_id,
        "chunk_id": chunk_id,
        "formula": row.formula,
        "chemical_formula_reduced": reduced,
        "chemical_formula_anonymous": anonymous,
        "nelements": len(row.elements),
        "survived": STAGE_ORDER[StageName.PREDICT],
        "score": known(row.score),
        **_columns(PLAIN, row.predictions),
    }


def _judged(campaign_id: int, row: Judgement) -> dict[str, Any]:
    values = {"campaign": campaign_id, "formula": row.formula, "verdict": row.verdict, "reason": row.reason}
    return {f"_{name}": value for name, value in (values | _columns(FROM_STRUCTURE, row.predictions)).items()}


def _columns(names: Sequence[str], predictions: Predictions) -> dict[str, float | None]:
    pairs = ((name, predictions.get(name, (None, None))) for name in names)
    return {key: known(number) for name, (value, std) in pairs for key, number in ((name, value), (name + STD, std))}


def _predicted(row: RowMapping) -> Iterator[tuple[str, tuple[float, float | None]]]:
    return ((name, (row[name], row[name + STD])) for name in BUILT_IN if row[name] is not None)


def _record_properties(
    session: Session, ids: Mapping[str, int], rows: Sequence[NewCandidate] | Sequence[Judgement]
) -> None:
    values = [
        {"candidate_id": ids[row.formula], "property": name, "value": known(value), "std": known(std)}
        for row in rows
        if row.formula in ids
        for name, (value, std) in sorted(row.predictions.items())
        if name not in BUILT_IN and known(value) is not None
    ]
    add_rows(session, PropertyTable, values)


def _mark(session: Session, campaign_id: int, formulas: Iterable[str], values: dict[str, Any]) -> None:
    for batch in batches(sorted(formulas)):
        here = (CandidateTable.campaign_id == campaign_id, CandidateTable.formula.in_(batch))
        changed(session, update(CandidateTable).where(*here).values(values))
