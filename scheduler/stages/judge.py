"""Judge: properties again from the best structure, and whether the campaign's filter still holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from sqlalchemy.orm import Session

from scheduler.flow import Role
from scheduler.pools import Ask, Models
from scheduler.spec import PredictStage
from scheduler.stages.comparison import References, compare, load_references
from scheduler.stages.outcome import Order, Outcome, count, failure
from scheduler.stages.predict import SYMBOL, as_columns, own_questions
from storage.candidates import Judgement, mark_survivors, record_judgements
from storage.failures import record_failures
from storage.hashes import digest_rows
from storage.references import Finding, record_findings
from storage.states import StageName
from storage.structures import best_crystals
from workers import filters
from workers.crystals import Crystal
from workers.filters import And, Chance, Compare, Filter
from workers.models import Refused
from workers.pool import Failure
from workers.probabilities import Distribution, chance_columns, parse_screen_filter
from workers.properties import REGISTRY, STD, Predicted, structure_name

QUESTION = Ask(Role.STRUCTURE, "predict", 4, {})
CONFIRMED, DISPUTED = "confirmed", "disputed"


@dataclass(frozen=True, slots=True)
class Demand:
    """A filter on what is predicted from structures, by formula what predictors of one's own say of it, and how the
    truth lies about that."""

    tree: Filter
    own: Mapping[str, Predicted]
    distributions: Mapping[str, Distribution]


@dataclass(frozen=True, slots=True)
class Case:
    """The best crystal of each formula of a chunk, and what it is compared with."""

    crystals: Mapping[str, Crystal]
    references: References = References()


def load(session: Session, order: Order) -> Case:
    """The chunk's crystals, and what references there are of their chemical systems."""
    campaign, formulas = order.chunk.campaign_id, tuple(order.chunk.formulas or ())
    stored = best_crystals(session, campaign, formulas)
    crystals = {formula: Crystal.from_dict(stored[formula]) for formula in formulas}
    return Case(crystals, load_references(session, campaign, formulas))


def compute(order: Order, case: Case, models: Models) -> Outcome:
    """Predictions from the structures, each with a verdict and what was found by comparing."""
    crystals = case.crystals
    said = dict(zip(crystals, models.ask(QUESTION, list(crystals.values())), strict=True))
    answers, findings = compare(crystals, said, case.references, models)
    failures = tuple(
        failure(order, formula, answer) for formula, answer in answers.items() if isinstance(answer, Failure)
    )
    demand = _demand(order.spec.predict, list(crystals), models)
    judgements = [
        judged(formula, cast(Predicted, answer), demand)
        for formula, answer in answers.items()
        if not isinstance(answer, Failure)
    ]
    confirmed = [row.formula for row in judgements if row.verdict == CONFIRMED]
    digest = digest_rows((row.formula, row.verdict, *sorted(row.predictions.items())) for row in judgements)
    counts = count(len(crystals), len(confirmed), failures)
    rows: dict[str, Sequence[object]] = {"judgements": judgements, "survivors": confirmed, "findings": findings}
    return Outcome(counts, digest, failures, rows)


def record(session: Session, order: Order, outcome: Outcome) -> None:
    """Store verdicts and failures."""
    campaign = order.chunk.campaign_id
    record_judgements(session, campaign, cast(Sequence[Judgement], outcome.rows["judgements"]))
    record_findings(session, campaign, cast(Sequence[Finding], outcome.rows["findings"]))
    mark_survivors(session, campaign, StageName.JUDGE, cast(Sequence[str], outcome.rows["survivors"]))
    record_failures(session, campaign, outcome.failures)


def judged(formula: str, predicted: Predicted, demand: Demand | None) -> Judgement:
    """Confirmed where the filter also holds for what is predicted from the structure, else disputed and why."""
    if demand is None:
        return Judgement(formula, CONFIRMED, None, predicted)
    failing = [part for part in _parts(demand.tree) if not _holds(part, formula, predicted, demand)]
    verdict = DISPUTED if failing else CONFIRMED
    return Judgement(formula, verdict, "; ".join(_told(part, predicted) for part in failing) or None, predicted)


def make_demand(
    where: str,
    own: Mapping[str, Predicted] | None = None,
    distributions: Mapping[str, Distribution] | None = None,
) -> Demand:
    """What a campaign's filter demands of structures; what predictors of one's own say of a formula stands."""
    tree = filters.renamed(parse_screen_filter(where), _from_structure)
    return Demand(tree, own or {}, distributions or {})


def _demand(asked: PredictStage, formulas: Sequence[str], models: Models) -> Demand | None:
    if asked.where is None:
        return None
    named = {name.removesuffix(STD) for name in filters.properties_of(parse_screen_filter(asked.where))}
    own = [name for name in asked.predictors if name in named]
    if not own:
        return make_demand(asked.where)
    # Asked again: what a model says of a formula depends on nothing else.
    said = zip(*(models.ask(question, formulas) for question in own_questions(own)), strict=True)
    values = {formula: _joined(answers) for formula, answers in zip(formulas, said, strict=True)}
    return make_demand(asked.where, values, models.distributions())


def _joined(answers: Sequence[object]) -> Predicted:
    known = [answer for answer in answers if not isinstance(answer, Refused | Failure)]
    return {name: pair for answer in known for name, pair in cast(Predicted, answer).items()}


def _from_structure(name: str) -> str:
    return structure_name(name) if name.removesuffix(STD) in REGISTRY else name


def _parts(tree: Filter) -> tuple[Filter, ...]:
    return tuple(part for each in tree.parts for part in _parts(each)) if isinstance(tree, And) else (tree,)


def _holds(part: Filter, formula: str, predicted: Predicted, demand: Demand) -> bool:
    symbols = frozenset(SYMBOL.findall(formula))
    columns = dict.fromkeys(filters.properties_of(part), np.array([np.nan]))
    columns |= {"formula": np.array([formula]), "nelements": np.array([float(len(symbols))])}
    columns |= as_columns([{**predicted, **demand.own.get(formula, {})}])
    columns |= chance_columns(part, columns, demand.distributions)
    return bool(filters.evaluate(part, columns, [symbols])[0])


def _told(part: Filter, predicted: Predicted) -> str:
    if isinstance(part, Chance):
        return f"{part.column()} is not {part.op} {part.value:g}"
    if isinstance(part, Compare) and part.property in predicted:
        return f"{part.property} {predicted[part.property][0]:.3g}, not {part.op} {part.value}"
    return "the filter does not hold for the structure"
