"""Outages of the database: how they are known, and how a process of ours sits one out at its start."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from scheduler.settings import Settings
from storage.engine import open_database
from storage.errors import DatabaseFull, DatabaseUnavailable

AWAY = (OperationalError, InterfaceError, DatabaseFull)
LOOK_SECONDS = 1.0
log = logging.getLogger(__name__)


def open_patiently(settings: Settings, parent: int | None) -> Engine:
    """The database, waited for while a server is away and our supervisor lives; raises UserError.

    Whoever starts a process by hand is told at once.
    """
    while True:
        try:
            return open_database(settings.database_url, create=False)
        except DatabaseUnavailable as exc:
            if parent is None or os.getppid() != parent or not _is_server_away(exc, settings):
                raise
            log.warning("waiting for the database: %s", exc)
            time.sleep(LOOK_SECONDS)


@contextmanager
def sat_out(engine: Engine) -> Iterator[None]:
    """Go on after a while where a server was away; a file that cannot be read will not come back by itself."""
    try:
        yield
    except (OperationalError, InterfaceError) as exc:
        if engine.dialect.name == "sqlite":
            raise
        log.warning("waiting for the database: %s", str(exc).splitlines()[0])
        time.sleep(LOOK_SECONDS)


def _is_server_away(exc: DatabaseUnavailable, settings: Settings) -> bool:
    return settings.database_url.startswith("postgres") and isinstance(exc.__cause__, OperationalError)
