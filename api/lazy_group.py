"""Commands that are imported when they are called, so that the others answer at once."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast

import click


class Target(NamedTuple):
    """Where a command is, as `module:name`, and what it does in one line."""

    path: str
    summary: str


class LazyGroup(click.Group):
    """A group whose listing needs none of its commands' modules."""

    def __init__(self, *args: Any, targets: Mapping[str, Target], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table."""
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with this name, imported now."""
        target = self.targets.get(cmd_name)
        return None if target is None else cast(click.Command, load(target.path))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the listing from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, target.summary) for name, target in self.targets.items()])


def load(path: str) -> Any:
    """What a `module:name` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
