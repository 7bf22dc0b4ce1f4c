"""Requests that count once however often they are sent: those with an Idempotency-Key."""

from hashlib import sha256
from typing import Annotated

from fastapi import Header

from api.access import Caller
from scheduler.spec import CampaignSpec
from storage.idempotency import Once

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of yours, new for each campaign: the same key and body give the same campaign again.",
        examples=["9c1f5b3e-screening-of-halides"],
    ),
]


def once(caller: Caller, key: str | None, spec: CampaignSpec) -> Once | None:
    """The request as its key tells it from others of the same caller."""
    return None if key is None else Once(caller.owner, key, sha256(spec.model_dump_json().encode()).hexdigest())
