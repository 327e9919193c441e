"""The tools that the app offers, and what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from ...errors import XlamError
from ...permissions import AllowVerdict, AskVerdict, DenyVerdict
from ...types import Message, Tool, ToolCall

# The start of the app loads none of these; the methods that need them import them.
if TYPE_CHECKING:
    from ...agent import Engine
    from ...permissions.approver import Approver
    from ...tools import Source, Toolbox


@dataclass
class ToolCatalog:
    """The tools of a toolbox that is opened at its first use, or a fixed set of tools."""

    fixed_tools: Sequence[Tool] = ()
    open_toolbox: Callable[[], Toolbox] | None = None
    _toolbox: Toolbox | None = None
    _opening: Lock = field(default_factory=Lock)
    _reported: dict[str, str] = field(default_factory=dict)
    """The states of the sources that were reported to the user."""

    def refresh(self) -> tuple[Tool, ...]:
        """Read changed tool files again; return the tools that the model is offered."""
        with self._opening:
            if self._toolbox is None and self.open_toolbox is not None:
                self._toolbox = self.open_toolbox()
            elif self._toolbox is not None:
                self._toolbox.refresh()
        return self.current()

    def current(self) -> tuple[Tool, ...]:
        """Return the offered tools as of the last `refresh`."""
        return tuple(self.fixed_tools) if self._toolbox is None else self._toolbox.tools

    def sources(self) -> tuple[Source, ...]:
        """Return the files, servers and packages that the tools come from."""
        from ...tools import Source

        if self._toolbox is None:
            return (Source("given", "python", "ready", tuple(self.fixed_tools)),)
        return self._toolbox.sources

    def news(self) -> list[str]:
        """Return sentences about sources that are now untrusted or have failed, once for each."""
        before, self._reported = self._reported, {}
        found: dict[str, list[str]] = {"untrusted": [], "failed": []}
        for source in self.sources():
            state = f"{source.state} {source.content_hash} {source.detail}"
            self._reported[source.name] = state
            if source.state in found and before.get(source.name) != state:
                found[source.state].append(source.name)
        texts = {
            "untrusted": "Not trusted yet: {}. Press F3 to review them.",
            "failed": "These tools cannot be used: {}. Press F3 to see why.",
        }
        return [texts[state].format(", ".join(names)) for state, names in found.items() if names]

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Enable or disable a source or a tool.

        Raises:
            XlamError: the tools are fixed.
        """
        self._require_toolbox().set_enabled(name, enabled)

    def trust(self, source: Source) -> None:
        """Trust the content of a tool file as the user saw it.

        Raises:
            XlamError: the tools are fixed, or the content has changed.
        """
        self._require_toolbox().trust(source.name, source.content_hash)

    def _require_toolbox(self) -> Toolbox:
        if self._toolbox is None:
            raise XlamError("These tools cannot be changed here.")
        return self._toolbox

    def token_costs(self, engine: Engine) -> dict[str, int]:
        """Return how many tokens each offered tool takes in a prompt of the model."""
        from ... import prompt

        tools = self.current()
        counts = prompt.tool_token_counts(tools, engine.count)
        return {tool.name: tokens for tool, tokens in zip(tools, counts, strict=True)}

    def policy_text(self, tool: Tool, approver: Approver, messages: Sequence[Message]) -> str:
        """Return what the policy decides about a call of a tool without arguments."""
        call = ToolCall("", tool.name, {})
        match approver.verdict(tool, call, messages, self.current()):
            case AllowVerdict():
                return "allowed"
            case AskVerdict(reason):
                return f"needs approval: {reason}"
            case DenyVerdict(reason):
                return f"denied: {reason}"

    def close(self) -> None:
        """Stop the processes that run tools."""
        if self._toolbox is not None:
            self._toolbox.close()


def refusals(tools: Sequence[Tool]) -> frozenset[str]:
    """Return the names of the tools that are not offered, because of their schemas."""
    from ...grammar import compile_tools

    offered = {tool.name for tool in compile_tools(tools).tools}
    return frozenset(tool.name for tool in tools if tool.name not in offered)


def schema_report(tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield how each keyword of a tool's schema is enforced, with its JSON pointer."""
    from ... import grammar

    for entry in grammar.compile_tools([tool]).report:
        pointer = entry.pointer or "/"
        keyword = "" if pointer.endswith(f"/{entry.keyword}") else f" {entry.keyword}"
        yield entry.status, f"{pointer}{keyword} {entry.reason}".rstrip()


def grammar_text(tools: Sequence[Tool]) -> str:
    """Return the GBNF grammar of a reply that may call these tools."""
    from ... import gbnf, grammar

    return gbnf.to_gbnf(grammar.compile_tools(list(tools), "required").grammar)
