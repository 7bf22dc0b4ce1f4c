"""A user's mistake in a command of `workers.training`: one line on stderr, and the exit status."""

import sys
from collections.abc import Callable

from workers.errors import SluiceError


def told(command: Callable[[], None]) -> int:
    """The exit status of a command: 2 where a value or a file that it was given does not serve."""
    try:
        command()
    except SluiceError as exc:
        print(exc, file=sys.stderr)
        return 2
    except FileNotFoundError as exc:
        print(f"{exc.filename}: not found; --data holds the published tables, --out what was prepared", file=sys.stderr)
        return 2
    return 0
