"""Which tools a command offers to the model, and what they cost."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Sequence

import click

from .. import prompt
from ..agent import Engine
from ..errors import UsageError
from ..terminal_text import escape_control
from ..tools import Source
from ..types import Done, Event, Notice, PrefillProgress, Tool, ToolCalls

MANY_TOKENS = 1000
"""The user is told about tools that were not called if they took more prompt tokens than this."""


def find_tools(
    names: Sequence[str], tools: Sequence[Tool], option: str, sources: Sequence[Source] = ()
) -> list[Tool]:
    """Return the tools called `names`, each once.

    Raises:
        UsageError: there is no tool of a name, or it is not available; `option` is what named it.
    """
    by_name = {tool.name: tool for tool in tools}
    for name in names:
        if name not in by_name:
            raise UsageError(f"{option}: {_why_missing(name, by_name, sources)}")
    return [by_name[name] for name in dict.fromkeys(names)]


def _why_missing(name: str, offered: Iterable[str], sources: Sequence[Source]) -> str:
    for source in sources:
        if any(tool.name == name for tool in source.tools):
            if source.state == "untrusted":
                return (
                    f"the tool {name!r} is not trusted yet; run "
                    f"`xlam-local tools trust {source.name}`."
                )
            return f"the tool {name!r} is off; run `xlam-local tools enable {name}`."
    return f"there is no tool {name!r}. The tools are: {', '.join(offered) or 'none'}."


def show_offered(tools: Sequence[Tool], engine: Engine) -> None:
    """Print the offered tools with their prompt tokens."""
    counts = prompt.tool_token_counts(tools, engine.count)
    listed = ", ".join(f"{t.name} ({count})" for t, count in zip(tools, counts, strict=True))
    summary = f"Tools offered: {len(tools)}, {sum(counts)} prompt tokens"
    click.echo(escape_control(f"{summary}: {listed}" if tools else "Tools offered: none"), err=True)


def with_cost_notice(
    turn: Generator[Event, None, Done], tools: Sequence[Tool], engine: Engine
) -> Generator[Event, None, Done]:
    """Yield the events of a turn, and before its end the cost of tools that were not called.

    There is no notice if the prompt was short or cached.
    """
    called: set[str] = set()
    read: int | None = None
    while True:
        try:
            event = next(turn)
        except StopIteration as end:
            done: Done = end.value
            return done
        match event:
            case PrefillProgress(done=cached, total=total) if read is None:
                read = total - cached
            case ToolCalls(calls):
                called |= {call.name for call in calls}
            case Done() if read is not None and read >= MANY_TOKENS:
                if notice := cost_notice(tools, called, engine):
                    yield Notice(notice)
        yield event


def cost_notice(tools: Sequence[Tool], called: Container[str], engine: Engine) -> str:
    """Return a notice about the cost of tools that were not called; "" if it is small."""
    others = [tool for tool in tools if tool.name not in called]
    tokens = sum(prompt.tool_token_counts(others, engine.count)) if others else 0
    if tokens < MANY_TOKENS:
        return ""
    return (
        f"{len(others)} of {len(tools)} tools were not called; they took {tokens} tokens of the "
        "prompt. To offer fewer tools, use -T NAME or --no-tools, or turn some off with "
        "`xlam-local tools disable NAME`."
    )
