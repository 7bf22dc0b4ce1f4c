"""Predict: compositions of the source, their properties, and those that the filter keeps."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from sqlalchemy.orm import Session

from scheduler.flow import Role
from scheduler.pools import Ask, Models
from scheduler.sources import formulas_of
from scheduler.spec import CampaignSpec, GenerateSource
from scheduler.stages.outcome import Order, Outcome, count, failure
from scheduler.stages.proposals import novel, propose
from storage.candidates import NewCandidate, record_candidates
from storage.chunks import count_duplicates
from storage.failures import record_failures
from storage.hashes import digest_rows
from storage.references import mark_known_compositions
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
    """Predictions, and of those that the filter keeps the score; a formula that is proposed again counts as duplicate
    where it is kept."""
    source = order.spec.source
    proposed = propose(order, source, models) if isinstance(source, GenerateSource) else formulas
    pairs = list(_answered(order.spec.predict.predictors, proposed, models))
    start = order.chunk.start or 0
    failures = tuple(
        failure(order, formula, answer, f"source {start + place}")
        for place, (formula, answer) in enumerate(pairs)
        if isinstance(answer, Refused | Failure)
    )
    answered = [(formula, cast(Predicted, one)) for formula, one in pairs if not isinstance(one, Refused | Failure)]
    candidates = select(order.spec, list(dict(answered).items()), models)
    candidates = novel(source, candidates, models)
    kept = {row.formula for row in candidates}
    repeats = sum(formula in kept for formula, _ in answered) - len(kept)
    rows = ((formula, *sorted(predicted.items())) for formula, predicted in answered)
    counts = count(len(pairs), len(candidates), failures, repeats)
    return Outcome(counts, digest_rows(rows), failures, {"candidates": candidates})


def record(session: Session, order: Order, outcome: Outcome) -> None:
    """Store candidates and failures; what another chunk has stored as well counts as duplicate."""
    rows = cast(Sequence[NewCandidate], outcome.rows["candidates"])
    new = record_candidates(session, order.chunk.campaign_id, order.chunk.id, rows)
    if len(new) < len(rows):
        assert isinstance(order.spec.source, GenerateSource), "duplicates are settled before chunking"
        count_duplicates(session, order.chunk.id, len(rows) - len(new))
    mark_known_compositions(session, order.chunk.campaign_id, order.chunk.id)
    record_failures(session, order.chunk.campaign_id, outcome.failures)


def _answered(own: Sequence[str], proposed: Sequence[object], models: Models) -> Iterator[tuple[str, object]]:
    """Each formula with what is said of it, asked once; why there is no formula stands in the place of both."""
    distinct = list(dict.fromkeys(one for one in proposed if isinstance(one, str)))
    said = dict(zip(distinct, ask_all(own, distinct, models), strict=True))
    return ((one, said[one]) if isinstance(one, str) else ("", one) for one in proposed)


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
