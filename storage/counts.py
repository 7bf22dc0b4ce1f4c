"""Counts: how many candidates a query selects, exactly where that is quick, else estimated from a sample."""

import random
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.deadlines import TookTooLong, deadline
from storage.filters import Plan
from storage.queries import Query, selected, user_properties
from storage.tables import CandidateTable

FEW = 50_000  # candidates that are counted without more ado
SAMPLE = 2_000
SEED = 20  # the same query gets the same estimate
ENOUGH = 40  # sampled candidates, for an estimate within a third
PATIENCE = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Count:
    """How many, and whether exactly so many."""

    number: int
    exact: bool


def count(session: Session, asked: Query) -> Count:
    """How many candidates the query selects; raises InvalidFilter."""
    # Apart, or SQLite reads every row for the two.
    ends = (select(end(CandidateTable.id)).scalar_subquery() for end in (func.min, func.max))
    first, last = session.execute(select(*ends)).one()
    size = 0 if first is None else last - first + 1
    if size <= FEW:
        return Count(_exact(session, asked), exact=True)
    hits = _sampled(session, asked, first, last)
    estimate = Count(round(hits * size / SAMPLE), exact=False)
    if hits >= ENOUGH:
        return estimate
    try:
        with deadline(session, PATIENCE):
            return Count(_exact(session, asked), exact=True)
    except TookTooLong:
        return estimate


def _exact(session: Session, asked: Query) -> int:
    found = selected(asked, user_properties(session)).with_only_columns(func.count())
    return session.scalar(found) or 0


def _sampled(session: Session, asked: Query, first: int, last: int) -> int:
    """How many of so many ids the query selects, each drawn from all of the range."""
    ids = random.Random(SEED).sample(range(first, last + 1), SAMPLE)
    found = selected(asked, user_properties(session), Plan(lambda ids: True)).with_only_columns(func.count())
    return session.scalar(found.where(CandidateTable.id.in_(ids))) or 0
