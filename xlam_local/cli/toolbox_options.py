"""Open the tools of a command, and ask for trust in the files that run code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from .. import config
from ..errors import ToolFileError, UsageError
from ..permissions.credential_files import working_folder_warning
from ..terminal_text import escape_blanks, escape_control
from ..tools import Source, Toolbox, ToolPaths
from ..tools.sources import MCP_CONFIG_FILE
from ..types import Tool
from .questions import confirm


@dataclass(frozen=True, slots=True)
class OpenMode:
    """How a toolbox is opened."""

    quiet: bool = False
    """Whether unavailable sources are not printed."""
    tools_run: bool = True
    """Whether tools may run. If not, only Python files need trust, as reading them runs them."""
    only_files: bool = False
    """Whether only the tools of the files are opened."""
    log_folder: Path | None = None
    """Where tools and servers write their logs; by default in the state folder."""


QUIET = OpenMode(quiet=True)
INSPECT = OpenMode(quiet=True, tools_run=False)


def open_toolbox(
    cwd: Path, files: Sequence[Path] = (), trust: bool = False, mode: OpenMode = OpenMode()
) -> Toolbox:
    """Open all tools for a working folder, `files` included, after asking for trust.

    Raises:
        UsageError: one of `files` is invalid or not trusted.
    """
    paths = tool_paths(cwd, mode.log_folder)
    toolbox = Toolbox.open(paths, files, trust, mode.only_files)
    try:
        check_named_files(toolbox, needs_trust=_always if mode.tools_run else _is_python)
        if not mode.quiet:
            print_unavailable(toolbox)
            if warning := working_folder_warning(cwd.resolve(), Path.home().resolve()):
                click.echo(escape_control(warning), err=True)
    except BaseException:
        toolbox.close()
        raise
    return toolbox


def open_files(files: Sequence[Path]) -> Toolbox:
    """Open only the tools of `files`, without asking for trust."""
    return Toolbox.open(tool_paths(Path()), files, only_files=True)


def tool_paths(cwd: Path, log_folder: Path | None = None) -> ToolPaths:
    """Return the user's folders for tools and their state."""
    folders = config.folders()
    return ToolPaths(folders.config, folders.data, folders.state, cwd, log_folder)


def load_schemas(files: Sequence[Path], trust: bool) -> tuple[Tool, ...]:
    """Return the tools of `files` without their functions; print which are left out, and why.

    Raises:
        UsageError: a file is invalid, or it is Python and not trusted.
    """
    sources = load_sources(files, trust) if files else ()
    print_left_out(sources)
    return schemas_of(sources)


def load_sources(files: Sequence[Path], trust: bool) -> tuple[Source, ...]:
    """Return the sources of `files`, whose tools cannot run any more.

    Raises:
        UsageError: a file is invalid, or it is Python and not trusted.
    """
    with Toolbox.open(tool_paths(Path()), files, trust, only_files=True) as toolbox:
        check_named_files(toolbox, needs_trust=_is_python)
        return toolbox.named_sources()


def schemas_of(sources: Sequence[Source]) -> tuple[Tool, ...]:
    """Return the tools of sources without their functions.

    Raises:
        ToolFileError: two have the same name.
    """
    found = [tool for source in sources for tool in source.tools]
    for number, tool in enumerate(found):
        if tool.name in {other.name for other in found[:number]}:
            raise ToolFileError(f"There are two tools named {tool.name!r}.")
    return tuple(replace(tool, run=None, preview=None) for tool in found)


def _always(source: Source) -> bool:
    return True


def _is_python(source: Source) -> bool:
    return source.kind == "python"


def check_named_files(
    toolbox: Toolbox, trust: bool = False, needs_trust: Callable[[Source], bool] = _always
) -> None:
    """Check the files that the user named, and ask for trust in those that need it.

    Raises:
        UsageError: a file is invalid or not trusted.
    """
    for source in toolbox.named_sources():
        if source.state == "untrusted" and needs_trust(source):
            trust_source(toolbox, source, trust)
    for source in toolbox.named_sources():
        if source.state == "failed":
            raise ToolFileError(source.detail)


def trust_source(toolbox: Toolbox, source: Source, trust: bool = False) -> None:
    """Trust a source: without a question if `trust` is set, else after asking on the terminal.

    Raises:
        UsageError: there is no terminal to ask on, or the answer is no.
    """
    if source.kind == "mcp":
        toolbox.start_server(source.name)
        source = next(other for other in toolbox.sources if other.name == source.name)
        if source.state != "untrusted":
            raise UsageError(f"{source.name}: {source.detail or _nothing_to_trust(source)}")
    if trust:
        toolbox.trust(source.name, source.content_hash)
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{source.name!r} is not trusted yet, and there is no terminal to ask on; "
            "add --trust to trust it."
        )
    tools = f"\n{source.path or source.name} has these tools:\n{source.detail}"
    click.echo(escape_blanks(tools), err=True)
    if not confirm("Trust them to run on this machine?"):
        raise UsageError(f"{source.name!r} was not trusted.")
    toolbox.trust(source.name, source.content_hash)


def _nothing_to_trust(source: Source) -> str:
    """Return why there is nothing to trust in a source that has not failed."""
    if source.state == "off":
        return f"it is disabled; enable it with `xlam-local tools enable {source.name}`."
    left_out = "".join(f" {sentence}" for sentence in source.left_out)
    if not source.tools:
        return f"it has no tools.{left_out}"
    return f"all of its tools are trusted already.{left_out}"


def find_untrusted(toolbox: Toolbox, name: str) -> Source:
    """Return the tool file or MCP server `name`, which the user wants to trust.

    Raises:
        UsageError: there is none, or it has failed, or there is nothing to trust.
    """
    for source in toolbox.sources:
        if source.name == name and source.state == "untrusted":
            return source
        if source.name == name and source.state != "starting":
            why = source.detail if source.state == "failed" else _nothing_to_trust(source)
            raise UsageError(f"{name}: {why}")
    broken = "".join(
        f" {source.detail}" for source in toolbox.sources if source.name == MCP_CONFIG_FILE
    )
    others = ", ".join(source.name for source in toolbox.sources if source.state == "untrusted")
    raise UsageError(
        f"There is no tool file or server {name!r}; untrusted ones: {others or 'none'}.{broken}"
    )


def print_unavailable(toolbox: Toolbox) -> None:
    """Print on stderr which sources offer no tools, which tools are left out or renamed."""
    print_left_out(toolbox.sources)
    print_untrusted(toolbox)
    for source in toolbox.sources:
        if source.state == "failed":
            _print_missing(source, source.detail.partition("\n")[0])
    for sentence in toolbox.name_clashes():
        click.echo(escape_control(sentence), err=True)


def print_untrusted(toolbox: Toolbox) -> None:
    """Print on stderr which sources are not trusted yet."""
    for source in toolbox.sources:
        if source.state == "untrusted":
            _print_missing(
                source, f"it is not trusted yet; run `xlam-local tools trust {source.name}`."
            )


def _print_missing(source: Source, reason: str) -> None:
    click.echo(escape_control(f"No tools from {source.name!r}: {reason}"), err=True)


def print_left_out(sources: Sequence[Source]) -> None:
    """Print on stderr which tools of sources are left out, and why."""
    for source in sources:
        for sentence in source.left_out:
            click.echo(escape_control(f"{source.name}: {sentence}"), err=True)
