"""Explain: which elements make the prediction of a candidate."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.orm import Session

from scheduler.flow import Role
from scheduler.pools import Ask, Models
from scheduler.spec import ExplainStage
from scheduler.stages.outcome import Order, Outcome, count, failure
from storage.explanations import NewExplanation, record_explanations
from storage.failures import record_failures
from storage.hashes import digest_rows
from workers.explanations import Explanation, Question
from workers.models import Refused
from workers.pool import Failure

BATCH = 32  # formulas


def load(session: Session, order: Order) -> list[str]:
    """The chunk's formulas."""
    return list(order.chunk.formulas or ())


def compute(order: Order, formulas: list[str], models: Models) -> Outcome:
    """An explanation of each formula."""
    explain = order.spec.explain or ExplainStage()
    question = Question(
        explain.property, explain.index, explain.order, explain.players, explain.budget, seed=order.seed
    )
    # One batch: all coalitions of all its formulas share the predictor's tiles.
    answers = models.ask(Ask(Role.COMPOSITION, "explain", BATCH, {"question": question}), formulas)
    pairs = list(zip(formulas, answers, strict=True))
    none = Refused | Failure
    failures = tuple(failure(order, formula, answer) for formula, answer in pairs if isinstance(answer, none))
    rows = [_row(cast(Explanation, answer)) for _, answer in pairs if not isinstance(answer, none)]
    digest = digest_rows((row.formula, row.property, row.baseline, row.value, row.interactions) for row in rows)
    return Outcome(count(len(formulas), len(rows), failures), digest, failures, {"explanations": rows})


def record(session: Session, order: Order, outcome: Outcome) -> None:
    """Store explanations and failures."""
    rows = cast(Sequence[NewExplanation], outcome.rows["explanations"])
    record_explanations(session, order.chunk.campaign_id, rows)
    record_failures(session, order.chunk.campaign_id, outcome.failures)


def _row(answer: Explanation) -> NewExplanation:
    return NewExplanation(
        formula=answer.formula,
        property=answer.property,
        index=answer.index,
        order=answer.order,
        baseline=answer.baseline,
        value=answer.value,
        interactions=[(list(players), number) for players, number in answer.interactions],
        players=answer.players,
        budget=answer.budget,
        errors=answer.errors,
    )
