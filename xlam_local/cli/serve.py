"""The command that serves our tools to other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import click

from .. import __version__, config
from ..errors import UsageError
from ..types import Decision, Message, Result, Tool, ToolCall
from . import logs, offering


@click.command()
@click.option("--allow", multiple=True, metavar="TOOL", help="Run this tool without asking.")
@click.option(
    "--tools",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file of tools besides. May be given several times.",
)
@click.option("--trust", is_flag=True, help="Let the files of --tools run what is in them.")
@click.option(
    "--folder",
    default=".",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that the tools see.",
)
def serve(allow: tuple[str, ...], files: tuple[Path, ...], trust: bool, folder: Path) -> None:
    """Serve the tools to another program, over MCP on stdin and stdout.

    The policy holds: what it would ask about is refused, for nobody can be asked here; --allow
    names a tool that may run, and policy.toml says it for good.
    """
    from ..tools.mcp.serving import serve as over_mcp

    logs.start(config.folders().state)
    with offering.open_box(folder, files, trust) as box:
        served = Served(lambda: [tool for tool in box.tools if tool.run is not None], folder, allow)
        over_mcp(served.tools, served.call, __version__)


class Served:
    """The tools that another program calls, and what it has called so far."""

    def __init__(
        self, tools: Callable[[], Sequence[Tool]], folder: Path, allow: Sequence[str]
    ) -> None:
        from ..session import own_consent

        self.tools = tools
        self.consent = own_consent(folder)
        self.results: list[Message] = []
        """What was read is held against what would carry it away, as in a conversation."""
        self._lock = Lock()
        there = {tool.name: tool for tool in tools()}
        for name in allow:
            if name not in there:
                raise UsageError(f"There is no tool {name!r} to allow.")
            self.consent.allow(there[name])

    def call(self, tool: Tool, call: ToolCall) -> Result:
        """Run one call, if its arguments fit and the policy lets it."""
        from .. import agent

        if wrong := agent.problem(call, {tool.name: tool}):
            return Result(call, wrong, ok=False)
        steps = agent.run(tool, call, self._decide)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: Result = end.value
                break
        with self._lock:
            # Who has read what is kept, and not all that was read: this may go on for days.
            self.results.append(replace(result, output=""))
        return result

    def _decide(self, tool: Tool, call: ToolCall) -> Decision:
        from ..consent import unasked

        with self._lock:
            return self.consent.decide((tool, call), self.results, self.tools(), unasked)
