"""The embedded broker: kombu's messages in files, none of which is ever seen half written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic_ns
from typing import Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

SCHEME = "sluice-files"
LOCK_FILE = "exchanges.lock"


class Channel(filesystem.Channel):
    """Messages appear whole, and one process at a time touches the tables of exchanges.

    As kombu has it, a worker that looks between the making of a file and its first byte dies of an empty message.
    """

    def get_table(self, exchange: str) -> Any:
        """The queues of an exchange."""
        with self._locked():
            return filesystem.Channel.get_table(self, exchange)

    def _queue_bind(self, *names: str) -> None:
        with self._locked():
            filesystem.Channel._queue_bind(self, *names)

    def _put(self, queue: str, payload: Any, **options: Any) -> None:  # type: ignore[override]  # kombu's too differs
        folder = Path(self.data_folder_out)
        draft = folder / f"{uuid4().hex}.draft"
        draft.write_text(dumps(payload), encoding="utf-8")
        os.replace(draft, folder / f"{monotonic_ns() // 1_000_000}_{draft.stem}.{queue}.msg")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.control_folder / LOCK_FILE).open("ab") as file:
            filesystem.lock(file, filesystem.LOCK_EX)
            yield


class Transport(filesystem.Transport):
    """Kombu's transport with these channels."""

    Channel = Channel


def register_scheme() -> str:
    """Make the transport known to kombu and give its URL."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:{Transport.__name__}"
    return f"{SCHEME}://"
