"""Judge: properties again from the best structure, and whether the campaign's filter still holds."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from sqlalchemy.orm import Session

from scheduler.flow import Role
from scheduler.pools import Ask, Models
from scheduler.stages.outcome import Order, Outcome, count, failure
from scheduler.stages.predict import SYMBOL, as_columns
from storage.candidates import Judgement, mark_survivors, record_judgements
from storage.failures import record_failures
from storage.hashes import digest_rows
from storage.states import StageName
from storage.structures import best_crystals
from workers import filters
from workers.crystals import Crystal
from workers.filters import And, Compare, Filter
from workers.pool import Failure
from workers.properties import REGISTRY, Predicted, structure_name

QUESTION = Ask(Role.STRUCTURE, "predict", 4, {})
CONFIRMED, DISPUTED = "confirmed", "disputed"


def load(session: Session, order: Order) -> dict[str, Crystal]:
    """The best crystal of each formula of the chunk."""
    stored = best_crystals(session, order.chunk.campaign_id, order.chunk.formulas or ())
    return {formula: Crystal.from_dict(stored[formula]) for formula in order.chunk.formulas or ()}


def compute(order: Order, crystals: dict[str, Crystal], models: Models) -> Outcome:
    """Predictions from the structures, each with a verdict."""
    answers = dict(zip(crystals, models.ask(QUESTION, list(crystals.values())), strict=True))
    failures = tuple(
        failure(order, formula, answer) for formula, answer in answers.items() if isinstance(answer, Failure)
    )
    judgements = [
        judged(formula, cast(Predicted, answer), order.spec.predict.where)
        for formula, answer in answers.items()
        if not isinstance(answer, Failure)
    ]
    confirmed = [row.formula for row in judgements if row.verdict == CONFIRMED]
    digest = digest_rows((row.formula, row.verdict, *sorted(row.predictions.items())) for row in judgements)
    counts = count(len(crystals), len(confirmed), failures)
    return Outcome(counts, digest, failures, {"judgements": judgements, "survivors": confirmed})


def record(session: Session, order: Order, outcome: Outcome) -> None:
    """Store verdicts and failures."""
    campaign = order.chunk.campaign_id
    record_judgements(session, campaign, cast(Sequence[Judgement], outcome.rows["judgements"]))
    mark_survivors(session, campaign, StageName.JUDGE, cast(Sequence[str], outcome.rows["survivors"]))
    record_failures(session, campaign, outcome.failures)


def judged(formula: str, predicted: Predicted, where: str | None) -> Judgement:
    """Confirmed where the filter also holds for what is predicted from the structure, else disputed and why."""
    if where is None:
        return Judgement(formula, CONFIRMED, None, predicted)
    tree = filters.renamed(filters.parse_filter(where), _from_structure)
    failing = [part for part in _parts(tree) if not _holds(part, formula, predicted)]
    verdict = DISPUTED if failing else CONFIRMED
    return Judgement(formula, verdict, "; ".join(_told(part, predicted) for part in failing) or None, predicted)


def _from_structure(name: str) -> str:
    return structure_name(name) if name.removesuffix("_std") in REGISTRY else name


def _parts(tree: Filter) -> tuple[Filter, ...]:
    return tuple(part for each in tree.parts for part in _parts(each)) if isinstance(tree, And) else (tree,)


def _holds(part: Filter, formula: str, predicted: Predicted) -> bool:
    symbols = frozenset(SYMBOL.findall(formula))
    unknown = dict.fromkeys(filters.properties_of(part), np.array([np.nan]))
    named = {"formula": np.array([formula]), "nelements": np.array([float(len(symbols))])}
    return bool(filters.evaluate(part, unknown | named | as_columns([predicted]), [symbols])[0])


def _told(part: Filter, predicted: Predicted) -> str:
    if isinstance(part, Compare) and part.property in predicted:
        return f"{part.property} {predicted[part.property][0]:.3g}, not {part.op} {part.value}"
    return "the filter does not hold for the structure"
