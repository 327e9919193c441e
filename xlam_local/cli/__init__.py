"""The command line: one module per command."""

from __future__ import annotations

import sys
from typing import Any

import click

from .. import __version__, config, tui
from ..errors import UsageError, XlamError
from ..terminal_text import escape_control
from . import streams
from .lazy_group import LazyGroup, Target

COMMANDS = {
    "ask": Target("ask", "Ask TEXT, and let the model call tools until it answers."),
    "batch": Target(
        "batch", "Run the requests of IN, one per line, and append each result to OUT."
    ),
    "bench": Target(
        "bench", "Measure the speed on this machine, next to llama-cpp-python, or that of a server."
    ),
    "cache": Target("cache", "List or delete the prompts in the prompt cache on disk."),
    "call": Target("call", "Turn TEXT into calls to the --tools, as JSON; no tool runs."),
    "check": Target("check", "Check whether a model does the tasks in SCENARIOS with your tools."),
    "completion": Target(
        "completion", "Print a script that completes commands and options in SHELL."
    ),
    "demo": Target("demo", "Watch a small model call tools."),
    "doctor": Target("doctor", "Check this machine and suggest fixes."),
    "eval": Target("eval", "Measure the accuracy of models, with and without the grammar."),
    "grammar": Target(
        "grammar", "Print the GBNF grammar for the tools in FILE, as llama.cpp loads it."
    ),
    "history": Target("history", "List, search, export and delete conversations."),
    "mcp": Target("mcp", "Serve tools over the Model Context Protocol (MCP)."),
    "models": Target("models", "Download, list, verify and remove models."),
    "prompt": Target(
        "prompt", "Print the exact prompt for the conversation in FILE; - reads stdin."
    ),
    "serve": Target("serve", "Serve the model to other programs over HTTP, with OpenAI's API."),
    "tools": Target("tools", "List, check, add, trust and test the tools that a model can call."),
}
EXIT_INTERRUPTED = 130


@click.group(cls=LazyGroup, targets=COMMANDS, invoke_without_command=True)
@click.version_option(__version__, prog_name="xlam-local", message="%(prog)s %(version)s")
@click.option("-m", "--model", help="Model to open the app with.")
@click.option(
    "--ephemeral", is_flag=True, help="Keep nothing of this conversation on disk (app only)."
)
@click.pass_context
def xlam_local(ctx: click.Context, model: str | None, ephemeral: bool) -> None:
    """Run xLAM-2 function-calling models on this machine, with local tools.

    Without a command, the app opens.
    """
    if ctx.invoked_subcommand is None:
        _open_app(model, ephemeral)
    elif model is not None or ephemeral:
        raise click.UsageError(
            "Options before a command are for the app; put them after the command."
        )


def _open_app(model: str | None, ephemeral: bool) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise click.UsageError("The app needs a terminal; in a script, use `xlam-local ask`.")
    # Only the app and commands with a model write a log; logging.handlers imports sockets.
    from . import log_file

    folders = config.folders()
    if ephemeral:
        log_file.discard()  # Tracebacks can quote what was said.
    else:
        log_file.start(folders.state)
    notices: tuple[str, ...] = ()
    try:
        settings = config.load(folders.config / "config.toml")
    except UsageError as error:
        settings, notices = config.Config(), (f"{error} The default settings are used.",)
    tui.run(model, settings, folders, ephemeral, notices)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its exit code."""
    streams.prepare()
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line; print an error as one sentence on stderr, and return the exit code."""
    try:
        code: Any = xlam_local.main(arguments, prog_name="xlam-local", standalone_mode=False)
        streams.finish()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except XlamError as error:
        click.echo(f"Error: {escape_control(str(error))}", err=True)
        return error.exit_code
    except streams.OutputClosed:
        return 0
    return code if isinstance(code, int) else 0
