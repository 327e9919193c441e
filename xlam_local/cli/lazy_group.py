"""A group of commands that imports a command's module only when the command runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem


class Target(NamedTuple):
    """Where a command is, and its line in the help of the group."""

    location: str
    """Its module in this package; `module:variable` if the variable is not called as the command.
    """
    summary: str
    """The first paragraph of its help. A copy: the help of the group imports no command."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def __init__(self, *args: Any, targets: Mapping[str, Target], **kwargs: Any) -> None:
        """Take the target of each command by its name."""
        super().__init__(*args, **kwargs)
        self.targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the targets."""
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if (target := self.targets.get(cmd_name)) is None:
            return None
        module, _, variable = target.location.partition(":")
        command: click.Command = getattr(
            import_module(f".{module}", __package__), variable or cmd_name
        )
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin with `incomplete`, and the options; import no command."""
        commands = [
            CompletionItem(name, help=target.summary)
            for name, target in self.targets.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, target.summary) for name, target in self.targets.items()])
