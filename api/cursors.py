"""Cursors: where a page of candidates ended, as text that only this server reads."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Annotated

from pydantic import BaseModel, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from api.errors import InvalidCursor
from storage.pages import Mark

LARGEST = 2**63 - 1
Whole = Annotated[StrictInt, Field(ge=-LARGEST, le=LARGEST)]
Words = Annotated[StrictStr, Field(max_length=400, pattern=r"^[^\x00-\x1f]*$")]
Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]


class _Cursor(BaseModel):
    list: str  # which list it belongs to
    value: Whole | Finite | Words | None
    formula: Words
    campaign: Annotated[StrictInt, Field(ge=1, le=LARGEST)]


def encoded(mark: Mark, asked: tuple[object, ...]) -> str:
    """The cursor of a mark in the list that was asked for."""
    cursor = _Cursor(list=_digest(asked), value=mark.value, formula=mark.formula, campaign=mark.campaign_id)
    return urlsafe_b64encode(cursor.model_dump_json().encode()).decode().rstrip("=")


def decoded(text: str, asked: tuple[object, ...]) -> Mark:
    """The mark of a cursor in the list that was asked for; raises InvalidCursor."""
    try:
        raw = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        cursor = _Cursor.model_validate_json(raw)
    except (ValueError, ValidationError) as exc:
        raise InvalidCursor("unreadable") from exc
    if cursor.list != _digest(asked):
        raise InvalidCursor("it belongs to another filter, sort or campaign")
    return Mark(cursor.value, cursor.formula, cursor.campaign)


def _digest(asked: tuple[object, ...]) -> str:
    return sha256(repr(asked).encode(errors="backslashreplace")).hexdigest()[:12]
