"""Predict: compositions of the source, their properties, and those that the filter keeps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from sqlalchemy.orm import Session

from scheduler.flow import Role
from scheduler.pools import Ask, Models
from scheduler.sources import formulas_of
from scheduler.spec import CampaignSpec
from scheduler.stages.outcome import Order, Outcome, count, failure
from storage.candidates import NewCandidate, record_candidates
from storage.failures import record_failures
from storage.hashes import digest_rows
from workers import filters, scores
from workers.models import Refused
from workers.pool import Failure
from workers.probabilities import chance_columns, chances_in, parse_screen_filter
from workers.properties import Predicted

BATCH = 256
SYMBOL = re.compile("[A-Z][a-z]?")
QUESTION = Ask(Role.COMPOSITION, "predict", BATCH, {})


def load(session: Session, order: Order) -> list[str]:
    """The chunk's formulas."""
    return formulas_of(session, order.chunk, order.spec.source)


def compute(order: Order, formulas: list[str], models: Models) -> Outcome:
    """Predictions, and of those that the filter keeps the score."""
    answers = ask_all(order.spec.predict.predictors, formulas, models)
    start = order.chunk.start or 0
    failures = tuple(
        failure(order, formula, answer, f"source {start + place}")
        for place, (formula, answer) in enumerate(zip(formulas, answers, strict=True))
        if isinstance(answer, Refused | Failure)
    )
    answered = [
        (formula, cast(Predicted, answer))
        for formula, answer in zip(formulas, answers, strict=True)
        if not isinstance(answer, Refused | Failure)
    ]
    candidates = select(order.spec, answered, models)
    rows = ((formula, *sorted(predicted.items())) for formula, predicted in answered)
    counts = count(len(formulas), len(candidates), failures)
    return Outcome(counts, digest_rows(rows), failures, {"candidates": candidates})


def record(session: Session, order: Order, outcome: Outcome) -> None:
    """Store candidates and failures."""
    rows = cast(Sequence[NewCandidate], outcome.rows["candidates"])
    new = record_candidates(session, order.chunk.campaign_id, order.chunk.id, rows)
    assert len(new) == len(rows), "duplicates are settled before chunking"
    record_failures(session, order.chunk.campaign_id, outcome.failures)


def ask_all(own: Sequence[str], formulas: Sequence[str], models: Models) -> list[object]:
    """What the campaign's predictor and those of one's own say of each formula, or why one of them says nothing."""
    for name in own:
        models.warm(Role.COMPOSITION, name)
    answers = [models.ask(question, formulas) for question in (QUESTION, *own_questions(own))]
    return [_together(found) for found in zip(*answers, strict=True)]


def own_questions(names: Sequence[str]) -> list[Ask]:
    """The question to each predictor of one's own."""
    return [replace(QUESTION, own=name) for name in names]


def _together(answers: Sequence[object]) -> object:
    for answer in answers:
        if isinstance(answer, Refused | Failure):
            return answer
    return {name: pair for answer in answers for name, pair in cast(Predicted, answer).items()}


def select(spec: CampaignSpec, answered: Sequence[tuple[str, Predicted]], models: Models) -> list[NewCandidate]:
    """The formulas that the spec's filter keeps, with their scores."""
    if not answered:
        return []
    elements = [tuple(dict.fromkeys(SYMBOL.findall(formula))) for formula, _ in answered]
    columns = as_columns([predicted for _, predicted in answered])
    columns["formula"] = np.array([formula for formula, _ in answered])
    columns["nelements"] = np.array([float(len(symbols)) for symbols in elements])
    kept = np.ones(len(answered), dtype=bool)
    if spec.predict.where is not None:
        tree = parse_screen_filter(spec.predict.where)
        if any(chances_in(tree)):
            columns |= chance_columns(tree, columns, models.distributions())
        kept = filters.evaluate(tree, columns, [frozenset(symbols) for symbols in elements])
    marks = scores.evaluate(scores.parse_score(spec.predict.score, spec.predict.scorable), columns, len(answered))
    return [
        NewCandidate(answered[row][0], elements[row], _finite(marks[row]), answered[row][1])
        for row in np.flatnonzero(kept).tolist()
    ]


def as_columns(rows: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, np.ndarray]:
    """Values and standard deviations by name, (n,) each."""
    columns: dict[str, np.ndarray] = {}
    for name in rows[0]:
        pairs = np.array([row[name] for row in rows], dtype=np.float64)
        columns[name], columns[f"{name}_std"] = pairs[:, 0], pairs[:, 1]
    return columns


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
