"""Tokens: who may do what over HTTP; a token's secret is kept as its hash alone."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from storage.errors import NotFound
from storage.rows import changed
from storage.tables import TokenTable

LONGEST_NAME = 200  # characters
DAY = 86_400.0  # seconds
PREFIX = "sluice_"  # by which people and scanners know a secret that has leaked


class TokenRole(StrEnum):
    """What a token is good for; each role may also do what stands before it."""

    READ = "read"
    RUN = "run"
    ADMIN = "admin"

    def allows(self, needed: "TokenRole") -> bool:
        """Whether this role may do what takes another one."""
        order = list(TokenRole)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be made; it expires at a moment in unix seconds, or never."""

    name: str
    role: TokenRole
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret; times are unix seconds."""

    id: int
    name: str
    role: TokenRole
    created_at: float
    expires_at: float | None
    revoked_at: float | None


COLUMNS = tuple(getattr(TokenTable, name) for name in Token.__slots__)


def new_secret() -> str:
    """A secret that nobody guesses."""
    return PREFIX + secrets.token_urlsafe(32)


def expiry(days: float | None, now: float) -> float | None:
    """The moment that is so many days from now; None: never."""
    return None if days is None else now + days * DAY


def add_token(session: Session, secret: str, new: NewToken, now: float) -> Token:
    """Store a token by the hash of its secret."""
    row = TokenTable(
        name=new.name, role=new.role, digest=_digest(secret), created_at=now, expires_at=new.expires_at, revoked_at=None
    )
    session.add(row)
    session.flush()
    return Token(row.id, new.name, new.role, now, new.expires_at, None)


def find_token(session: Session, secret: str, now: float) -> Token | None:
    """The token with this secret, unless it was revoked or has expired."""
    # A secret has more entropy than its hash, so that a plain hash is enough and the database may look it up.
    row = session.execute(select(*COLUMNS).where(TokenTable.digest == _digest(secret))).one_or_none()
    token = None if row is None else _token(row)
    if token is None or token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        return None
    return token


def list_tokens(session: Session) -> list[Token]:
    """All tokens, oldest first."""
    return [_token(row) for row in session.execute(select(*COLUMNS).order_by(TokenTable.id))]


def revoke_token(session: Session, token_id: int, now: float) -> Token:
    """End a token for good; one that was revoked stays as it is. Raises NotFound."""
    mine = TokenTable.id == token_id
    changed(session, update(TokenTable).where(mine, TokenTable.revoked_at.is_(None)).values(revoked_at=now))
    row = session.execute(select(*COLUMNS).where(mine)).one_or_none()
    if row is None:
        raise NotFound("token", token_id, "`sluice token list` shows all")
    return _token(row)


def has_tokens(session: Session, now: float) -> bool:
    """Whether any token can be used."""
    alive = (TokenTable.revoked_at.is_(None), TokenTable.expires_at.is_(None) | (TokenTable.expires_at > now))
    return session.execute(select(TokenTable.id).where(*alive).limit(1)).first() is not None


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token(**{**row._mapping, "role": TokenRole(row.role)})
