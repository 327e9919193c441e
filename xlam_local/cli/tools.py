"""The commands that show, check, add and try tools."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import wire
from ..errors import ToolError, UsageError
from ..sanitize import printable
from ..types import Tool
from . import offering
from .serve import serve

if TYPE_CHECKING:
    from ..tools import Source, Toolbox

CHARACTERS = 4.9
"""Characters of a schema that make a token, about, where no model is there to count."""
MODEL = click.option("-m", "--model", help="Count tokens as this model does.")
FILES = click.option(
    "--tools",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file of tools besides. May be given several times.",
)
TRUST = click.option("--trust", is_flag=True, help="Let the files of --tools run what is in them.")
FOLDER = click.option(
    "--folder",
    default=".",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that the tools see.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.group()
def tools() -> None:
    """Show, check, add and try the tools that models are offered."""


tools.add_command(serve)


@tools.command("list")
@MODEL
@FILES
@TRUST
@FOLDER
@AS_JSON
def list_(
    model: str | None, files: tuple[Path, ...], trust: bool, folder: Path, as_json: bool
) -> None:
    """List the tools, where each comes from, and how many tokens it costs.

    Tools that are off, and those of files that are not agreed to, are listed too.
    """
    with offering.open_box(folder, files, trust, offering.LOOKS) as box:
        rows = _rows(box, model)
        if as_json:
            click.echo(wire.dumps(rows))
            return
        _table(rows, exact=model is not None)
        _tell_sources(box)


@tools.command()
@click.argument("name")
@MODEL
@FILES
@TRUST
@FOLDER
def show(name: str, model: str | None, files: tuple[Path, ...], trust: bool, folder: Path) -> None:
    """Show the tool NAME: its schema, what it can do, and what became of each keyword."""
    from .. import grammar

    with offering.open_box(folder, files, trust, offering.LOOKS) as box:
        tool = _named(box, name)
        (tokens,) = _costs([tool], model)
    lines = [
        f"{tool.name}: {tool.description or '(no description)'}",
        f"effect {tool.effect.value}, sandbox {tool.sandbox.value}, from {tool.source}",
        f"{tokens} tokens in the prompt{'' if model else ', about'}; ends after {tool.seconds:g} s",
        json.dumps(tool.parameters, indent=2, ensure_ascii=False),
    ]
    for entry in grammar.for_turn([tool]).report:
        if entry.status != "exact":
            lines.append(f"{entry.pointer or '/'} {entry.keyword} {entry.status}: {entry.why}")
    click.echo(printable("\n".join(lines)))


@tools.command()
@FILES
@TRUST
@FOLDER
@AS_JSON
def lint(files: tuple[Path, ...], trust: bool, folder: Path, as_json: bool) -> int:
    """Check the tools that are offered, or only those of --tools; exits with 1 if any has faults.

    Looked for are descriptions that are missing, too short or too long, names that are nearly
    the same, and keywords that are only checked or refused.
    """
    from ..tools.lint import faults

    if files:
        offered: Sequence[Tool] = offering.schemas(files, trust)
    else:
        with offering.open_box(folder, how=offering.QUIET) as box:
            offered = box.tools
    found = list(faults(offered))
    if as_json:
        click.echo(wire.dumps([{"tool": fault.tool, "fault": fault.text} for fault in found]))
    for fault in () if as_json else found:
        click.echo(printable(f"{fault.tool}: {fault.text}" if fault.tool else fault.text))
    if not found:
        click.echo(f"{len(offered)} tools, nothing to mend.", err=True)
    return 1 if found else 0


@tools.command()
@click.argument("file", type=click.Path(path_type=Path))
@TRUST
def add(file: Path, trust: bool) -> None:
    """Copy FILE into the folder of your tools, and agree to what it runs.

    From then on every session offers its tools; after a change it has to be agreed to again.
    """
    from ..tools import files

    content = files.content(file)
    to = offering.places(Path()).config / "tools" / file.name
    if to.exists() and to.read_bytes() != content:
        raise UsageError(f"There is another {to.name} already; remove {to} first.")
    new = not to.exists()
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(content)
    try:
        with offering.open_alone([to]) as box:
            offering.settle(box, trust)
            names = ", ".join(tool.name for source in box.own() for tool in source.tools)
    except BaseException:
        if new:
            to.unlink()
        raise
    click.echo(f"Added to {to.parent}: {names}", err=True)


@tools.command()
@click.argument("name")
@FOLDER
@click.option("--trust", is_flag=True, help="Agree without being asked.")
def agree(name: str, folder: Path, trust: bool) -> None:
    """Show what the file of tools, or the MCP server, NAME would run, and agree to it."""
    with offering.open_box(folder, how=offering.QUIET) as box:
        for source in box.sources:
            if source.name == name and source.state == "not agreed":
                offering.agree(box, source, trust)
                offering.tell(box)
                return
    raise UsageError(f"There is nothing to agree to that is called {name!r}.")


@tools.command()
@click.argument("names", nargs=-1, required=True)
def on(names: tuple[str, ...]) -> None:
    """Offer the tools or sources NAMES from now on."""
    _switch(names, True)


@tools.command()
@click.argument("names", nargs=-1, required=True)
def off(names: tuple[str, ...]) -> None:
    """Offer the tools or sources NAMES no longer."""
    _switch(names, False)


@tools.command()
@click.argument("name")
@click.argument("arguments", default="{}")
@FILES
@TRUST
@FOLDER
def test(name: str, arguments: str, files: tuple[Path, ...], trust: bool, folder: Path) -> None:
    """Run the tool NAME once, with ARGUMENTS as a JSON object, and show what a model would read.

    No model takes part, and nothing is asked: it is you who calls.
    """
    from .. import agent, schema

    given = _arguments(arguments)
    with offering.open_box(folder, files, trust, offering.QUIET) as box:
        tool = _named(box, name)
        if wrong := schema.problems(given, tool.parameters):
            raise UsageError(f"The arguments do not fit: {' '.join(wrong)}")
        if tool.run is None:
            raise UsageError(f"The tool {name!r} is only described; there is nothing to run.")
        if tool.preview is not None:
            click.echo(printable(tool.preview(**given)), err=True)
        try:
            value = tool.run(**given)
        except ToolError:
            raise
        except Exception as error:
            raise ToolError(f"{type(error).__name__}: {error}") from error
        click.echo(printable(agent.to_text(value)))


def _switch(names: Sequence[str], to: bool) -> None:
    with offering.open_box(Path(), how=offering.QUIET) as box:
        for name in names:
            box.switch(name, to)


def _arguments(text: str) -> Mapping[str, Any]:
    try:
        given = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise UsageError(f"The arguments are not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise UsageError('The arguments are an object, such as {"x": 1}.')
    return given


def _named(box: Toolbox, name: str) -> Tool:
    """The tool called `name`, also where it is off."""
    for tool in (*box.tools, *(tool for source in box.sources for tool in source.tools)):
        if tool.name == name:
            return tool
    raise UsageError(f"There is no tool {name!r}; `xlam-local tools list` names them.")


def _rows(box: Toolbox, model: str | None) -> list[dict[str, Any]]:
    """What there is to say of each tool, those first that are offered."""
    offered = box.tools
    rows = [(tool, tool.source, "on") for tool in offered]
    there = {(tool.source, tool.name) for tool in offered}
    for source in box.sources:
        state = source.state if source.state != "ready" else "off"
        rows += [
            (tool, tool.source or source.name, state)
            for tool in source.tools
            # One with a clash is offered by a longer name.
            if not there & {(tool.source, n) for n in (tool.name, f"{source.name}_{tool.name}")}
        ]
    costs = _costs([tool for tool, _, _ in rows], model)
    return [
        {
            "name": tool.name,
            "state": state,
            "effect": tool.effect.value,
            "source": source,
            "tokens": tokens,
            "description": tool.description.partition("\n")[0],
        }
        for (tool, source, state), tokens in zip(rows, costs, strict=True)
    ]


def _costs(tools: Sequence[Tool], model: str | None) -> list[int]:
    """The tokens that each tool takes in a prompt; an estimate where no model is named."""
    from .. import prompt

    if model is None:
        return [round(len(prompt.tool_text(tool)) / CHARACTERS) for tool in tools]
    from .grammar import costs

    return [row["tokens"] for row in costs(tools, model)]


def _table(rows: Sequence[Mapping[str, Any]], exact: bool) -> None:
    head = {"name": "TOOL", "state": "", "effect": "EFFECT", "tokens": "TOKENS", "source": "FROM"}
    shown = [head, *({**row, "tokens": f"{'' if exact else '~'}{row['tokens']}"} for row in rows)]
    wide = {key: max(len(str(row[key])) for row in shown) for key in head}
    for row in shown:
        click.echo(printable("  ".join(str(row[key]).ljust(wide[key]) for key in head).rstrip()))
    total = sum(row["tokens"] for row in rows if row["state"] == "on")
    click.echo(f"{'' if exact else 'about '}{total} tokens for those that are on", err=True)


def _tell_sources(box: Toolbox) -> None:
    for source in box.sources:
        if source.state in {"failed", "not agreed"}:
            click.echo(printable(_told(source)), err=True)


def _told(source: Source) -> str:
    # All that there is to read of a server's tools is shown where one agrees to it.
    detail = source.detail.partition("\n")[0] if source.kind == "mcp" else source.detail
    indented = detail.replace("\n", "\n  ")
    return f"{source.name} ({source.kind}): {source.state}\n  {indented}"
