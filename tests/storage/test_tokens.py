"""Tokens: found by their secret, which is not stored; revoked and expired ones are not found."""

import pytest
from sqlalchemy import inspect, text

from storage.engine import reading, transaction
from storage.errors import NotFound
from storage.tokens import NewToken, TokenRole, add_token, find_token, has_tokens, list_tokens, revoke_token

SECRET = "sluice_0123456789"


def add(engine, secret: str = SECRET, role: TokenRole = TokenRole.RUN, expires_at: float | None = None):
    with transaction(engine) as session:
        return add_token(session, secret, NewToken("robot", role, expires_at), now=10.0)


def find(engine, secret: str = SECRET, now: float = 20.0):
    with reading(engine) as session:
        return find_token(session, secret, now)


def test_a_token_is_found_by_its_secret_alone(engine) -> None:
    token = add(engine)
    assert find(engine) == token
    assert find(engine, SECRET[:-1]) is None
    assert find(engine, "") is None


def test_the_secret_stands_nowhere(engine) -> None:
    add(engine)
    with engine.connect() as connection:
        names = [column["name"] for column in inspect(connection).get_columns("token")]
        (row,) = connection.execute(text(f"SELECT {', '.join(names)} FROM token")).all()
    assert not any(SECRET in str(value) for value in row)


def test_a_revoked_token_is_not_found_and_stays_listed(engine) -> None:
    token = add(engine)
    with transaction(engine) as session:
        assert has_tokens(session, now=20.0)
        revoked = revoke_token(session, token.id, now=30.0)
        assert revoke_token(session, token.id, now=40.0) == revoked
        assert not has_tokens(session, now=40.0)
        assert list_tokens(session) == [revoked]
    assert revoked.revoked_at == 30.0
    assert find(engine) is None


def test_a_token_expires(engine) -> None:
    token = add(engine, expires_at=50.0)
    assert find(engine, now=49.9) == token
    assert find(engine, now=50.0) is None


def test_a_token_that_is_not_there_cannot_be_revoked(engine) -> None:
    with transaction(engine) as session, pytest.raises(NotFound, match="token 9"):
        revoke_token(session, 9, now=1.0)


def test_each_role_allows_what_stands_before_it() -> None:
    allowed = {(role, needed) for role in TokenRole for needed in TokenRole if role.allows(needed)}
    assert allowed == {("read", "read"), ("run", "read"), ("run", "run"), *(("admin", role) for role in TokenRole)}
