"""What every stage gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from scheduler.pools import Models
from scheduler.spec import CampaignSpec
from storage.chunks import Chunk
from storage.failures import Kind, NewFailure
from storage.moves import Counts
from workers.models import Refused
from workers.pool import Failure

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Order:
    """A chunk with what its campaign says of it."""

    chunk: Chunk
    spec: CampaignSpec
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a chunk: its counts, the digest of all that was computed, its failures, and rows by kind."""

    counts: Counts
    digest: str
    failures: tuple[NewFailure, ...]
    rows: Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class StageWork(Generic[Loaded]):
    """The three functions of a stage; compute sees no database."""

    load: Callable[[Session, Order], Loaded]
    compute: Callable[[Order, Loaded, Models], Outcome]
    record: Callable[[Session, Order, Outcome], None]


def failure(order: Order, formula: str, answer: Refused | Failure, place: str = "") -> NewFailure:
    """The failure row of an item that a model refused, or failed at."""
    kind: Kind = "invalid" if isinstance(answer, Refused) else "failed"
    return NewFailure(order.chunk.stage, formula, place, kind, answer.reason, order.chunk.id)


def count(size: int, survived: int, failures: Sequence[NewFailure], duplicate: int = 0) -> Counts:
    """The counts of a chunk whose other inputs were rejected."""
    invalid = sum(row.kind == "invalid" for row in failures)
    failed = len(failures) - invalid
    rejected = size - survived - duplicate - invalid - failed
    return Counts(size, survived, rejected, duplicate, invalid, failed)
