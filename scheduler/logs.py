"""Logs: lines for people or JSON for programs, each with its campaign and chunk, none with a password."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from scheduler.settings import Settings

HIDDEN = "***"
_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))


def start_logs(settings: Settings) -> None:
    """Write this process's log to standard error as the settings ask."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(secrets_of(settings), as_json=settings.log_format == "json"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Name what the lines of this thread are about while the context lasts."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """What no log may show, the longest first: the passwords in the settings' addresses, as they are, as a URL and as
    JSON spell them."""
    passwords = [text for url in (settings.database_url, settings.broker_url) for text in _password(url) if text]
    spelled = [json.dumps(text, ensure_ascii=False)[1:-1] for text in passwords]
    return tuple(sorted({*passwords, *spelled}, key=len, reverse=True))


class Lines(logging.Formatter):
    """One line, or one JSON object, for each record."""

    def __init__(self, secrets: tuple[str, ...], as_json: bool) -> None:
        super().__init__("%(asctime)s %(name)s %(message)s")
        self._secrets = secrets
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The record with what it is about."""
        text = self._json(record) if self._as_json else self._line(record)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def _line(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in _about.get().items())
        return f"{super().format(record)}{f' ({ids})' if ids else ''}"

    def _json(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _password(url: str) -> tuple[str, ...]:
    """The password of a URL, decoded and as it stands between colon and @."""
    credentials = url.partition("://")[2].rpartition("@")[0]
    try:
        decoded = make_url(url).password or ""
    except (ArgumentError, ValueError):
        decoded = ""
    return (str(decoded), credentials.partition(":")[2])
