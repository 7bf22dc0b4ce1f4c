"""What one worker process has in hand."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

Attempt = tuple[int, int]  # chunk id, attempt


class Hands:
    """The attempts of a process; one that must be alone waits for the others to end and keeps new ones out."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: set[Attempt] = set()
        self._inside = 0
        self._loner = False

    @contextmanager
    def room(self, alone: bool) -> Iterator[None]:
        """Room for one more attempt, waited for."""
        with self._changed:
            self._changed.wait_for(lambda: not self._loner)
            self._loner = alone
            self._changed.wait_for(lambda: not (alone and self._inside))
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._loner = self._loner and not alone
                self._changed.notify_all()

    @contextmanager
    def holding(self, attempt: Attempt) -> Iterator[None]:
        """Name an attempt for as long as it lasts."""
        with self._changed:
            self._held.add(attempt)
        try:
            yield
        finally:
            with self._changed:
                self._held.discard(attempt)

    def named(self) -> tuple[Attempt, ...]:
        """The attempts in hand."""
        with self._changed:
            return tuple(sorted(self._held))
