"""The commands, one file per group."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from .. import __version__
from ..errors import UsageError, XlamError

# Where each command is: its module is imported only when the command is asked for.
COMMANDS = {
    "ask": "ask",
    "bench": "bench",
    "call": "call",
    "demo": "demo",
    "doctor": "doctor",
    "grammar": "grammar",
    "history": "history",
    "models": "models",
    "prefixes": "prefixes",
    "prompt": "prompt",
    "tools": "tools",
}
INTERRUPTED = 130


class Commands(click.Group):
    """The commands in COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(
            import_module(f".{COMMANDS[cmd_name]}", __name__), cmd_name
        )
        return command


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"xlam-local {__version__}")
        ctx.exit()


@click.group(cls=Commands, invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and end.",
)
@click.option("-m", "--model", help="The model to open the app with.")
@click.option("--ephemeral", is_flag=True, help="In the app, write nothing of it down.")
@click.pass_context
def xlam_local(ctx: click.Context, model: str | None, ephemeral: bool) -> None:
    """Run xLAM-2 function-calling models on this machine, with local tools.

    Without a command, the app opens.
    """
    if ctx.invoked_subcommand is None:
        _open_app(model, ephemeral)
    elif model is not None or ephemeral:
        raise click.UsageError(
            "An option before a command is for the app; put it after the command."
        )


def _open_app(model: str | None, ephemeral: bool) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("The app needs a terminal; in a script, use `xlam-local ask`.")
    from .. import config
    from ..tui import run
    from . import logs

    folders = config.folders()
    logs.start(folders.state)
    notes: tuple[str, ...] = ()
    try:
        settings = config.load(folders.config / "config.toml")
    except UsageError as error:
        settings, notes = config.Config(), (f"{error} The defaults hold.",)
    run(model, settings, folders, ephemeral, notes)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with the code that the README lists."""
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line; what went wrong is one sentence on stderr and an exit code."""
    try:
        code: Any = xlam_local.main(arguments, prog_name="xlam-local", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except XlamError as error:
        from ..sanitize import printable

        click.echo(f"Error: {printable(str(error))}", err=True)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain of it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0
