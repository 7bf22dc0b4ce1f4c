"""What every request works with: the database, who may ask what, and how often."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.buckets import Buckets
from scheduler.metrics import Ledgers
from storage.engine import reading

RATE = 200.0  # requests per second
BURST_SECONDS = 20.0  # that an asker may save up
PATIENCE = 30.0  # seconds that a page may take
EXPORTS = 4  # at a time: each holds a connection for as long as its reader takes


@dataclass(frozen=True, slots=True)
class Access:
    """Whether loopback needs no token, and requests per second of each asker."""

    insecure_loopback: bool = False
    rate: float = RATE


@dataclass(frozen=True, slots=True)
class Service:
    """The database of a server and its limits."""

    engine: Engine
    access: Access
    buckets: Buckets
    ledgers: Ledgers = field(default_factory=Ledgers)
    exports: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(EXPORTS))


def make_service(engine: Engine, access: Access) -> Service:
    """The service of one server."""
    return Service(engine, access, Buckets(access.rate, access.rate * BURST_SECONDS))


def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


def _session(service: "Serving") -> Iterator[Session]:
    with reading(service.engine) as session:
        yield session


Serving = Annotated[Service, Depends(_service)]
Reading = Annotated[Session, Depends(_session, scope="function")]
