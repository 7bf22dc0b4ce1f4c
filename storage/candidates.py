"""Candidates: compositions that passed the predict stage, what is predicted of them and what was judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.loads import load_rows, new_ids
from storage.rows import add_rows, batches, changed, known
from storage.states import STAGE_ORDER, StageName
from storage.tables import CandidateTable, ElementTable, PropertyTable
from workers.properties import REGISTRY, structure_name
from workers.spellings import spellings

STD = "_std"
PLAIN = tuple(REGISTRY)
FROM_STRUCTURE = tuple(structure_name(name) for name in REGISTRY)
BUILT_IN = PLAIN + FROM_STRUCTURE
PASSED = STAGE_ORDER[StageName.PREDICT]
UNKNOWN = (None, None)
ADDED = ("candidate_id", "property", "value", "std")

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


COLUMNS = (
    *("id", "campaign_id", "chunk_id", "formula", "chemical_formula_reduced", "chemical_formula_anonymous"),
    *("chemical_system", "nelements", "survived", "surplus", "score"),
    *(column for name in PLAIN for column in (name, name + STD)),
)


def record_candidates(session: Session, campaign_id: int, chunk_id: int, rows: Sequence[NewCandidate]) -> list[str]:
    """Store survivors and return the formulas that are new; the others stood already, from another chunk."""
    new = [row for _, row in sorted({row.formula: row for row in rows}.items())]
    mine: list[str] = []
    while new and (standing := _store_unless_standing(session, campaign_id, chunk_id, new)):
        mine += [formula for formula, chunk in standing.items() if chunk == chunk_id]
        new = [row for row in new if row.formula not in standing]
    return sorted([*mine, *(row.formula for row in new)])


def record_judgements(session: Session, campaign_id: int, rows: Sequence[Judgement]) -> None:
    """Store verdicts, their reasons and what was predicted from the structures."""
    if not rows:
        return
    statement = (
        update(CandidateTable)
        .where(CandidateTable.campaign_id == bindparam("_campaign"), CandidateTable.formula == bindparam("_formula"))
        .values({name: bindparam(f"_{name}") for name in ("verdict", "reason", *_with_std(FROM_STRUCTURE))})
    )
    ordered = sorted(rows, key=lambda row: row.formula)
    session.connection().execute(statement, [_judged(campaign_id, row) for row in ordered])
    ids = candidate_ids(session, campaign_id, [row.formula for row in rows])
    added = _added((ids[row.formula], row.predictions) for row in ordered if row.formula in ids)
    add_rows(session, PropertyTable, [dict(zip(ADDED, values, strict=True)) for values in added])


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


def _store_unless_standing(
    session: Session, campaign_id: int, chunk_id: int, rows: Sequence[NewCandidate]
) -> dict[str, int | None]:
    """Store all, or none of them and say which stand already, each with its chunk."""
    try:
        with session.begin_nested():
            _store(session, campaign_id, chunk_id, rows)
    except IntegrityError:
        if standing := _chunks_of(session, campaign_id, [row.formula for row in rows]):
            return standing
        raise
    return {}


def _store(session: Session, campaign_id: int, chunk_id: int, rows: Sequence[NewCandidate]) -> None:
    kept = list(zip(new_ids(session, CandidateTable, len(rows)), rows, strict=True))
    values = [(key, campaign_id, chunk_id, *_values(row)) for key, row in kept]
    load_rows(session, CandidateTable.__tablename__, COLUMNS, values)
    elements = sorted((element, key) for key, row in kept for element in row.elements)
    load_rows(session, ElementTable.__tablename__, ("element", "candidate_id"), elements)
    load_rows(session, PropertyTable.__tablename__, ADDED, _added((key, row.predictions) for key, row in kept))


def _values(row: NewCandidate) -> tuple[Any, ...]:
    """The values of all columns but the first three."""
    names = (row.formula, *spellings(row.formula), "-".join(sorted(row.elements)))
    return *names, len(row.elements), PASSED, False, known(row.score), *_numbers(PLAIN, row.predictions)


def _chunks_of(session: Session, campaign_id: int, formulas: Iterable[str]) -> dict[str, int | None]:
    """The chunk of each of these candidates that stands."""
    found: dict[str, int | None] = {}
    for batch in batches(formulas):
        here = (CandidateTable.campaign_id == campaign_id, CandidateTable.formula.in_(batch))
        found |= dict(session.execute(select(CandidateTable.formula, CandidateTable.chunk_id).where(*here)).all())
    return found


def _judged(campaign_id: int, row: Judgement) -> dict[str, Any]:
    said = {"campaign": campaign_id, "formula": row.formula, "verdict": row.verdict, "reason": row.reason}
    numbers = zip(_with_std(FROM_STRUCTURE), _numbers(FROM_STRUCTURE, row.predictions), strict=True)
    return {f"_{name}": value for name, value in (*said.items(), *numbers)}


def _with_std(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(column for name in names for column in (name, name + STD))


def _numbers(names: Sequence[str], predictions: Predictions) -> list[float | None]:
    """Values and standard deviations in turns, as the columns stand."""
    return [known(number) for name in names for number in predictions.get(name, UNKNOWN)]


def _added(rows: Iterable[tuple[int, Predictions]]) -> list[tuple[Any, ...]]:
    """What is predicted beside the built-in properties, of candidates by their ids."""
    return [
        (key, name, known(value), known(std))
        for key, predictions in rows
        for name, (value, std) in sorted(predictions.items())
        if name not in BUILT_IN and known(value) is not None
    ]


def _mark(session: Session, campaign_id: int, formulas: Iterable[str], values: dict[str, Any]) -> None:
    for batch in batches(sorted(formulas)):
        here = (CandidateTable.campaign_id == campaign_id, CandidateTable.formula.in_(batch))
        changed(session, update(CandidateTable).where(*here).values(values))
