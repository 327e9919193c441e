"""`mcp serve`: serve our tools to other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import click

from .. import __version__, config, session_setup
from ..agent import run_call, validate_call
from ..generators import drain
from ..permissions.approver import deny_non_interactive
from ..types import Decision, Message, Tool, ToolCall, ToolResult
from . import log_file, toolbox_options
from .offered_tools import find_tools


@click.group()
def mcp() -> None:
    """Serve tools over the Model Context Protocol (MCP)."""


@mcp.command()
@click.option(
    "--allow",
    multiple=True,
    metavar="TOOL",
    help="Run TOOL without approval. Can be given several times.",
)
@click.option(
    "--tools",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Also serve the tools of this file. Can be given several times.",
)
@click.option("--trust", is_flag=True, help="Trust the code in the --tools files.")
@click.option(
    "--cwd",
    default=".",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The working folder of the tools.",
)
def serve(allow: tuple[str, ...], files: tuple[Path, ...], trust: bool, cwd: Path) -> None:
    """Serve your tools to another program, over MCP on stdin and stdout.

    The rules of policy.toml apply. Calls that need approval are refused, as nobody can be asked;
    allow a tool with --allow, or permanently in policy.toml.
    """
    # The MCP library takes half a second to load, and `--help` imports this module.
    from ..tools.mcp.server import serve as serve_over_mcp

    log_file.start(config.folders().state)
    with toolbox_options.open_toolbox(cwd, files, trust) as toolbox:
        server = McpToolServer(
            lambda: [tool for tool in toolbox.tools if tool.run is not None], cwd, allow
        )
        serve_over_mcp(server.tools, server.call, __version__)


class McpToolServer:
    """The tools that another program calls, and the calls that it has made."""

    def __init__(
        self, tools: Callable[[], Sequence[Tool]], cwd: Path, allow: Sequence[str]
    ) -> None:
        self.tools = tools
        self._approver = session_setup.load_approver(cwd, find_tools(allow, tools(), "--allow"))
        self._results: list[Message] = []
        """For the exfiltration check, which needs to know which tools have read data."""
        self._lock = Lock()

    def call(self, tool: Tool, call: ToolCall) -> ToolResult:
        """Run a call if its arguments are valid and the policy allows it."""
        if problem := validate_call(call, {tool.name: tool}):
            return ToolResult(call, problem, ok=False)
        result = drain(run_call(tool, call, self._approve))
        with self._lock:
            # The output is dropped: the check does not need it, and a server may run for days.
            self._results.append(replace(result, output=""))
        return result

    def _approve(self, tool: Tool, call: ToolCall) -> Decision:
        with self._lock:
            return self._approver.decide(
                tool, call, self._results, self.tools(), deny_non_interactive
            )
