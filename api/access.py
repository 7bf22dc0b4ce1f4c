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
BEARER = HTTPBearer(auto_error=False, description="A token of `sluice token create`.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: a name that is theirs alone, and their role."""

    owner: str
    role: TokenRole


def identified(request: Request, service: Serving, credentials: Credentials) -> Caller:
    """The caller, who has not asked too often; raises NoToken, AlienSite, TooManyRequests."""
    host = request.client.host if request.client else ""
    if credentials is None and service.access.insecure_loopback and is_loopback(host):
        _check_site(request)
        caller = Caller("loopback", TokenRole.ADMIN)
    else:
        caller = _by_token(service, credentials, host)
    _count(service, caller.owner)
    return caller


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


def _by_token(service: Service, credentials: HTTPAuthorizationCredentials | None, host: str) -> Caller:
    if credentials is None:
        _count(service, f"address {host}")
        raise NoToken("no token")
    with reading(service.engine) as session:
        token = find_token(session, credentials.credentials, time.time())
    if token is None:
        _count(service, f"address {host}")
        raise NoToken("the token is not known, was revoked or has expired")
    return Caller(f"token {token.id}", token.role)


def _check_site(request: Request) -> None:
    """Without tokens a browser must not lend its place on the loopback to other sites."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    own = is_loopback(request.url.hostname or "")
    if not own or (origin is not None and origin.partition("://")[2] != host):
        raise AlienSite(host if own else "127.0.0.1")


def _count(service: Service, asker: str) -> None:
    if wait := service.buckets.take(asker, time.monotonic()):
        raise TooManyRequests(service.access.rate, ceil(wait))
