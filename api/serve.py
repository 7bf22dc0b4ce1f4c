"""`sluice serve`."""

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from signal import SIGTERM, default_int_handler, signal
from typing import cast

import click
import uvicorn
from sqlalchemy import Engine

from api.access import is_loopback
from api.app import create_app
from api.connection import connected, settings_for
from api.lazy_group import load
from api.options import database_option
from api.service import RATE, Access
from scheduler.logs import start_logs
from scheduler.settings import Settings
from storage.engine import describe, reading
from storage.tokens import has_tokens
from workers.errors import UserError

GRACE = 3  # seconds for requests under way; streams are cut off


@click.command(epilog="\b\nExample: sluice serve --port 8000 --db screening.db")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Its name or address.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: a free one.")
@click.option("--insecure-loopback", is_flag=True, help="Whoever is on this machine needs no token.")
@click.option("--rate", type=click.FloatRange(0, 1e6, min_open=True), default=RATE, show_default=True, metavar="N",
              help="Requests per second of one token.")  # fmt: skip
@database_option
def serve(host: str, port: int, insecure_loopback: bool, rate: float, url: str | None) -> None:
    """Answer over HTTP, until SIGTERM or Ctrl-C.

    Where no broker is set, campaigns run on this host, as `sluice screen` runs them; else the broker's workers do.
    """
    settings = settings_for(url)
    with connected(settings, create=True) as engine, _listening(host, port) as listener:
        if not is_loopback(host):
            _check_tokens(engine, host)
        start_logs(settings)
        config = uvicorn.Config(
            create_app(engine, Access(insecure_loopback, rate)),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE,
        )
        click.echo(
            f"serving {describe(engine)} at {_address(listener)}/v1, described at /docs, with a page at /", err=True
        )
        with _running(settings, engine), _stopped_by_signals():
            uvicorn.Server(config).run(sockets=[listener])
    click.echo("stopped", err=True)


def _running(settings: Settings, engine: Engine) -> AbstractContextManager[None]:
    # The scheduler's runs bring Celery, which an API host with a broker does not need.
    if not settings.embedded_broker:
        return nullcontext()
    return cast(AbstractContextManager[None], load("scheduler.keeper:keeping")(settings, engine))


def _check_tokens(engine: Engine, host: str) -> None:
    with reading(engine) as session:
        if not has_tokens(session, time.time()):
            raise UserError(
                f"--host {host}: nobody could enter; `sluice token create` first, or 127.0.0.1, is expected"
            )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, UnicodeError) as exc:
        raise UserError(f"--host {host} --port {port}: {exc}; a free port of this machine is expected") from exc
    with listener:
        yield listener


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let what is outside tidy up: uvicorn raises the signals that ended it once more."""
    before = signal(SIGTERM, default_int_handler)
    with suppress(KeyboardInterrupt):
        yield
    signal(SIGTERM, before)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
