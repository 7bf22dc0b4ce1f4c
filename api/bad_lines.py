"""Inputs that gave no result, told line by line."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.orm import Session

from api.numbers import counted
from storage.failures import Failure, count_failures, read_failures

SHOWN = 5


def bad_lines(session: Session, campaign_id: int, shown: int = SHOWN) -> list[str]:
    """How many inputs gave no result, and the first of them with place and reason; nothing where all did."""
    counts = count_failures(session, campaign_id)
    return list(_lines(read_failures(session, campaign_id, shown), counts)) if counts else []


def _lines(failures: Sequence[Failure], counts: Mapping[str, int]) -> Iterator[str]:
    yield f"no result for {counted(sum(counts.values()))} of the inputs:"
    for failure in failures:
        # The reason of a bad line quotes what the line says.
        subject = "" if failure.formula in failure.reason else f"{failure.formula}: "
        yield f"  {failure.place or failure.stage}: {subject}{failure.reason}"
    if (more := sum(counts.values()) - len(failures)) > 0:
        yield f"  and {counted(more)} more"
