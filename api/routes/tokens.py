"""/v1/tokens: made, listed and revoked by administrators."""

import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import MayAdminister
from api.parameters import LARGEST
from api.problems import problems
from api.service import Serving
from api.views.campaigns import moment
from storage.engine import reading, transaction
from storage.tokens import (
    LONGEST_NAME,
    NewToken,
    Token,
    TokenRole,
    add_token,
    expiry,
    list_tokens,
    new_secret,
    revoke_token,
)

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


class TokenWanted(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "notebook", "role": "run"}]})

    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]+$")
    role: TokenRole = TokenRole.READ
    days: float | None = Field(default=None, gt=0, le=36_500, description="After which it expires; null: never.")


class TokenEntry(BaseModel):
    """A token without its secret."""

    id: int
    name: str
    role: TokenRole
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewTokenEntry(TokenEntry):
    """A new token with its secret, which is shown this once."""

    token: str


@router.post("", status_code=201, summary="Make a token", responses=problems(400, 413))
def create(caller: MayAdminister, wanted: TokenWanted, service: Serving, response: Response) -> NewTokenEntry:
    """A new token; keep its secret, which is stored as a hash alone."""
    now, secret = time.time(), new_secret()
    with transaction(service.engine) as session:
        token = add_token(session, secret, NewToken(wanted.name, wanted.role, expiry(wanted.days, now)), now)
    response.headers["Location"] = f"/v1/tokens/{token.id}"
    response.headers["Cache-Control"] = "no-store"
    return NewTokenEntry(**entry(token).model_dump(), token=secret)


@router.get("", summary="List tokens", responses=problems())
def listed(caller: MayAdminister, service: Serving) -> list[TokenEntry]:
    """All tokens without their secrets, revoked and expired ones included."""
    with reading(service.engine) as session:
        return [entry(token) for token in list_tokens(session)]


@router.delete("/{id}", summary="Revoke a token", responses=problems(404))
def revoke(
    caller: MayAdminister, token_id: Annotated[int, Path(alias="id", ge=1, le=LARGEST)], service: Serving
) -> TokenEntry:
    """End a token at once and for good."""
    with transaction(service.engine) as session:
        return entry(revoke_token(session, token_id, time.time()))


def entry(token: Token) -> TokenEntry:
    """A token without its secret."""
    times = {name: getattr(token, name) for name in ("created_at", "expires_at", "revoked_at")}
    dates = {name: None if seconds is None else moment(seconds) for name, seconds in times.items()}
    return TokenEntry.model_validate({"id": token.id, "name": token.name, "role": token.role, **dates})
