"""Who asks, and whether they may: tokens with roles, or a loopback that was opened on purpose."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.errors import AlienSite, NoToken, RoleTooLow, TooManyRequests
from api.service import Service, Serving
from storage.engine import reading
from storage.tokens import TokenRole, find_token

LOCALHOST = "localhost"
SAFE = ("GET", "HEAD")
BEARER = HTTPBearer(auto_error=False, description="A token of `sluice token create`.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: a name that is theirs alone, and their role."""

    owner: str
    role: TokenRole


def identified(request: Request, service: Serving, credentials: Credentials) -> Caller:
    """The caller, who has not asked too often; raises NoToken, AlienSite, TooManyRequests."""
    host = _address(request)
    if credentials is None and service.access.insecure_loopback and is_loopback(host):
        _check_site(request)
        caller = Caller("loopback", TokenRole.ADMIN)
    elif credentials is None and (secret := request.cookies.get(cookie_name(request))) is not None:
        check_origin(request)
        caller = by_secret(service, secret, request)
    else:
        caller = by_secret(service, credentials.credentials if credentials else None, request)
    _count(service, caller.owner)
    return caller


def by_secret(service: Service, secret: str | None, request: Request) -> Caller:
    """The caller who knows a token's secret; raises NoToken, and TooManyRequests where somebody guesses."""
    token = None
    if secret is not None:
        with reading(service.engine) as session:
            token = find_token(session, secret, time.time())
    if token is None:
        _count(service, f"address {_address(request)}")
        raise NoToken("no token" if secret is None else "the token is not known, was revoked or has expired")
    return Caller(f"token {token.id}", token.role)


def cookie_name(request: Request) -> str:
    """The cookie in which a browser keeps a token; browsers tell hosts apart, but not their ports."""
    return f"sluice_{request.url.port or request.url.scheme}"


def check_origin(request: Request) -> None:
    """Raise AlienSite where a browser sends a page's cookie, but not that page asked."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    alien = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if (alien and request.method not in SAFE) or (origin is not None and origin.partition("://")[2] != host):
        raise AlienSite(host)


def allowed(needed: TokenRole) -> Callable[[Caller], Caller]:
    """The check that a caller's role is enough."""

    def check(caller: Annotated[Caller, Depends(identified)]) -> Caller:
        if not caller.role.allows(needed):
            raise RoleTooLow(caller.role.value, needed.value)
        return caller

    return check


MayRead = Annotated[Caller, Depends(allowed(TokenRole.READ))]
MayRun = Annotated[Caller, Depends(allowed(TokenRole.RUN))]
MayAdminister = Annotated[Caller, Depends(allowed(TokenRole.ADMIN))]


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return host == LOCALHOST or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _check_site(request: Request) -> None:
    """Without tokens a browser must not lend its place on the loopback to other sites."""
    if not is_loopback(request.url.hostname or ""):
        raise AlienSite("127.0.0.1")
    check_origin(request)


def _count(service: Service, asker: str) -> None:
    if wait := service.buckets.take(asker, time.monotonic()):
        raise TooManyRequests(service.access.rate, ceil(wait))
