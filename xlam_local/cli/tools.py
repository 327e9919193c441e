"""`tools`: list, check, add, trust and test tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import agent, atomic_file, schema, user_file
from ..errors import ToolError, UsageError
from ..grammar import compile_tools
from ..terminal_text import escape_blanks, escape_control
from ..tools import file_formats
from ..tools.lint import LintProblem, find_problems
from ..types import Tool
from . import toolbox_options
from .options import warn_of_refusals
from .streams import echo_json
from .tool_tokens import ToolTokens, tool_tokens

if TYPE_CHECKING:
    from ..tools import Source, Toolbox

model_option = click.option(
    "-m", "--model", help="Count tokens as this model does; by default, as your default model does."
)
files_option = click.option(
    "--tools",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Additional tool file: Python, TOML or JSON. Can be given several times.",
)
trust_option = click.option("--trust", is_flag=True, help="Trust the code in the --tools files.")
cwd_option = click.option(
    "--cwd",
    default=".",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The working folder of the tools.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def tools() -> None:
    """List, check, add, trust and test the tools that a model can call."""


@tools.command("list")
@model_option
@files_option
@trust_option
@cwd_option
@json_option
def list_(
    model: str | None, files: tuple[Path, ...], trust: bool, cwd: Path, as_json: bool
) -> None:
    """List all tools with their state, effect, tokens in the prompt, and source.

    Tools that are off or untrusted are listed too, and those that are refused because their schema
    cannot be enforced, with the reason.
    """
    with toolbox_options.open_toolbox(cwd, files, trust, toolbox_options.INSPECT) as toolbox:
        rows, tokens = _rows(toolbox, model)
        if as_json:
            echo_json(rows)
            return
        _print_table(rows, tokens)
        for row in rows:
            if row["reason"]:
                line = f"{row['name']} ({row['source']}): refused\n  {row['reason']}"
                click.echo(escape_control(line), err=True)
        for source in toolbox.sources:
            if source.state in {"failed", "untrusted"}:
                click.echo(escape_blanks(_describe_source(source)), err=True)
            for sentence in (*source.left_out, *source.notices):
                click.echo(escape_control(f"{source.name}: {sentence}"), err=True)
        for sentence in toolbox.name_clashes():
            click.echo(escape_control(sentence), err=True)


@tools.command()
@click.argument("name")
@model_option
@files_option
@trust_option
@cwd_option
def show(name: str, model: str | None, files: tuple[Path, ...], trust: bool, cwd: Path) -> None:
    """Show the tool NAME: its description, effect, sandbox, tokens and schema.

    Keywords of the schema that the grammar cannot enforce are listed with the reason.
    """
    with toolbox_options.open_toolbox(cwd, files, trust, toolbox_options.INSPECT) as toolbox:
        tool = _find_tool(toolbox, name)
        tokens = tool_tokens([tool], model)
    lines = [
        f"{tool.name}: {tool.description or '(no description)'}",
        f"effect {tool.effect.value}, sandbox {tool.sandbox.value}, from {tool.source}",
        f"{tokens.counts[0]} tokens in the prompt (counted by {tokens.counted_by})"
        if not tokens.is_estimate
        else f"about {tokens.counts[0]} tokens in the prompt (an estimate)",
        f"timeout {tool.timeout:g} s",
        json.dumps(tool.parameters, indent=2, ensure_ascii=False),
    ]
    for entry in compile_tools([tool]).report:
        if entry.status != "exact":
            lines.append(f"{entry.pointer or '/'} {entry.keyword} {entry.status}: {entry.reason}")
    click.echo(escape_control("\n".join(lines)))


@tools.command()
@files_option
@trust_option
@cwd_option
@json_option
def lint(files: tuple[Path, ...], trust: bool, cwd: Path, as_json: bool) -> int:
    """Check all enabled tools, or those of --tools; exit with 1 if there are problems.

    Problems are missing, short and long descriptions, names that are too similar, too many
    parameters or tools, and schema keywords that are refused, have no effect, or are only checked
    after decoding.
    """
    if files:
        sources = toolbox_options.load_sources(files, trust)
        checked = toolbox_options.schemas_of(sources)
    else:
        with toolbox_options.open_toolbox(cwd, mode=toolbox_options.QUIET) as toolbox:
            sources, checked = toolbox.sources, toolbox.tools
            toolbox_options.print_untrusted(toolbox)
    problems = [*_missing_tools(sources), *find_problems(checked)]
    if as_json:
        rows = [{"tool": problem.tool, "fault": problem.message} for problem in problems]
        echo_json(rows)
    else:
        for problem in problems:
            prefix = f"{problem.tool}: " if problem.tool else ""
            click.echo(escape_control(f"{prefix}{problem.message}"))
    if not problems:
        count = f"{len(checked)} tool{'' if len(checked) == 1 else 's'}"
        click.echo(f"No problems in {count}.", err=True)
    return 1 if problems else 0


def _missing_tools(sources: Sequence[Source]) -> Iterator[LintProblem]:
    """Yield why tools of sources are left out, and why sources cannot be read."""
    for source in sources:
        reasons = (source.detail,) if source.state == "failed" else source.left_out
        yield from (LintProblem("", f"{source.name}: {reason}") for reason in reasons)


@tools.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--trust", is_flag=True, help="Trust FILE without asking.")
def add(file: Path, trust: bool) -> None:
    """Copy FILE into your tools folder and trust it.

    Its tools are then available in every session. If the file changes, trust it again.
    """
    content = file_formats.read_bytes(file)
    target = toolbox_options.tool_paths(Path()).config / "tools" / file.name
    if target.exists() and target.read_bytes() != content:
        raise UsageError(f"There is another {target.name} already; delete {target} first.")
    is_new = not target.exists()
    try:
        atomic_file.write_bytes(target, content)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}.") from error
    try:
        with toolbox_options.open_files([target]) as toolbox:
            toolbox_options.check_named_files(toolbox, trust)
            sources = toolbox.named_sources()
            added = [tool for source in sources for tool in source.tools]
    except BaseException:
        if is_new:
            target.unlink()
        raise
    click.echo(f"Added to {target.parent}: {', '.join(tool.name for tool in added)}", err=True)
    toolbox_options.print_left_out(sources)
    warn_of_refusals(compile_tools(added).report)


@tools.command()
@click.argument("name")
@cwd_option
@click.option("--trust", "without_asking", is_flag=True, help="Trust it without asking.")
def trust(name: str, cwd: Path, without_asking: bool) -> None:
    """Show what the tool file or MCP server NAME can do, and ask whether to trust it."""
    with toolbox_options.open_toolbox(cwd, mode=toolbox_options.QUIET) as toolbox:
        source = toolbox_options.find_untrusted(toolbox, name)
        toolbox_options.trust_source(toolbox, source, without_asking)
        toolbox_options.print_unavailable(toolbox)


@tools.command()
@click.argument("names", nargs=-1, required=True)
def enable(names: tuple[str, ...]) -> None:
    """Enable the tools or sources NAMES."""
    _set_enabled(names, True)


@tools.command()
@click.argument("names", nargs=-1, required=True)
def disable(names: tuple[str, ...]) -> None:
    """Disable the tools or sources NAMES."""
    _set_enabled(names, False)


@tools.command()
@click.argument("name")
@click.argument("arguments", default="{}")
@files_option
@trust_option
@cwd_option
def test(name: str, arguments: str, files: tuple[Path, ...], trust: bool, cwd: Path) -> None:
    """Run the tool NAME with ARGUMENTS, a JSON object or - for stdin, and print its result.

    Runs without a model and without an approval prompt.
    """
    parsed = _parse_arguments(arguments)
    with toolbox_options.open_toolbox(cwd, files, trust, toolbox_options.QUIET) as toolbox:
        tool = _find_tool(toolbox, name)
        toolbox_options.print_left_out(toolbox.named_sources())
        warn_of_refusals(compile_tools([tool]).report)
        if problems := schema.validate(parsed, tool.parameters):
            raise UsageError(f"The arguments are invalid: {' '.join(problems)}")
        if tool.run is None:
            raise UsageError(f"The tool {name!r} is only a schema; it cannot be run.")
        if tool.preview is not None:
            click.echo(escape_blanks(tool.preview(**parsed)), err=True)
        try:
            value = tool.run(**parsed)
        except ToolError:
            raise
        except Exception as error:
            raise ToolError(f"{type(error).__name__}: {error}") from error
        click.echo(escape_control(agent.result_text(value)))


def _set_enabled(names: Sequence[str], enabled: bool) -> None:
    with toolbox_options.open_toolbox(Path(), mode=toolbox_options.QUIET) as toolbox:
        for name in names:
            toolbox.set_enabled(name, enabled)


def _parse_arguments(text: str) -> Mapping[str, Any]:
    piped = user_file.read_stdin() if text == "-" else text
    arguments = user_file.parse_json(piped, "The argument ARGUMENTS")
    if not isinstance(arguments, dict):
        raise UsageError('The arguments must be a JSON object, such as {"x": 1}.')
    return arguments


def _find_tool(toolbox: Toolbox, name: str) -> Tool:
    """Return the tool called `name`, whether it is enabled or not."""
    all_tools = (tool for source in toolbox.sources for tool in source.tools)
    for tool in (*toolbox.tools, *all_tools):
        if tool.name == name:
            return tool
    toolbox_options.print_unavailable(toolbox)
    raise UsageError(f"There is no tool {name!r}; `xlam-local tools list` lists all tools.")


def _rows(toolbox: Toolbox, model: str | None) -> tuple[list[dict[str, Any]], ToolTokens]:
    """Return the JSON row of each tool, enabled ones first, and what they cost."""
    enabled = toolbox.tools
    refused = _refusals(enabled)
    rows = [(tool, tool.source, "refused" if tool.name in refused else "on") for tool in enabled]
    listed = {(tool.source, tool.name) for tool in enabled}
    for source in toolbox.sources:
        state = source.state if source.state != "ready" else "off"
        rows += [
            (tool, tool.source or source.name, state)
            for tool in source.tools
            # A tool whose name clashes is enabled under a longer name.
            if not listed & {(tool.source, n) for n in (tool.name, f"{source.name}_{tool.name}")}
        ]
    tokens = tool_tokens([tool for tool, _, _ in rows], model)
    listed_rows = [
        {
            "name": tool.name,
            "state": state,
            "effect": tool.effect.value,
            "source": source_name,
            "tokens": count,
            "counted_by": tokens.counted_by,
            "description": tool.description.partition("\n")[0],
            "reason": refused.get(tool.name, "") if state == "refused" else "",
        }
        for (tool, source_name, state), count in zip(rows, tokens.counts, strict=True)
    ]
    return listed_rows, tokens


def _refusals(tools: Sequence[Tool]) -> dict[str, str]:
    """Return why tools are not offered to a model, by name."""
    report = compile_tools(tools).report
    return {entry.tool: entry.reason for entry in report if entry.status == "refused"}


def _print_table(rows: Sequence[Mapping[str, Any]], tokens: ToolTokens) -> None:
    """Print the rows on stdout, and on stderr the sum of tokens and what counted them."""
    head = {"name": "TOOL", "state": "", "effect": "EFFECT", "tokens": "TOKENS", "source": "FROM"}
    mark = "~" if tokens.is_estimate else ""
    lines = [head, *({**row, "tokens": f"{mark}{row['tokens']}"} for row in rows)]
    widths = {key: max(len(str(line[key])) for line in lines) for key in head}
    for line in lines:
        cells = (str(line[key]).ljust(width) for key, width in widths.items())
        click.echo(escape_control("  ".join(cells).rstrip()))
    total = sum(row["tokens"] for row in rows if row["state"] == "on")
    how = f"counted by {tokens.counted_by}"
    if tokens.is_estimate:
        how = "an estimate, as no model is installed"
    click.echo(
        escape_control(f"The tools that are on take {total} tokens of a prompt ({how})."), err=True
    )


def _describe_source(source: Source) -> str:
    """Return the state of a source and what the user would trust, or why it failed."""
    # The tools of a server are shown in full when the user is asked to trust them.
    detail = source.detail.partition("\n")[0] if source.kind == "mcp" else source.detail
    indented = detail.replace("\n", "\n  ")
    return f"{source.name} ({source.kind}): {source.state}\n  {indented}"
