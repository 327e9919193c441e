"""The tools that the app offers, and all that can be told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import XlamError
from ..types import Tool, ToolCall

if TYPE_CHECKING:
    from ..session import Session
    from ..tools import Source, Toolbox


@dataclass
class Toolset:
    """The tools of a toolbox, which is opened when they are wanted, or some that are given."""

    given: Sequence[Tool] = ()
    open: Callable[[], Toolbox] | None = None
    _box: Toolbox | None = None

    def offered(self) -> tuple[Tool, ...]:
        """What the model is offered now, with files that have changed read again."""
        if self._box is None and self.open is not None:
            self._box = self.open()
        elif self._box is not None:
            self._box.refresh()
        return self.now()

    def now(self) -> tuple[Tool, ...]:
        """What the model was offered when that was last looked at."""
        return tuple(self.given) if self._box is None else self._box.tools

    def sources(self) -> tuple[Source, ...]:
        """Where tools come from."""
        from ..tools import Source

        if self._box is None:
            return (Source("given", "python", "ready", tuple(self.given)),)
        return self._box.sources

    def switch(self, name: str, on: bool) -> None:
        """Offer a source or a tool, or no longer."""
        self._opened().switch(name, on)

    def agree(self, source: Source) -> None:
        """Agree to what is in a file of tools, as it was shown."""
        self._opened().agree(source.name, source.version)

    def _opened(self) -> Toolbox:
        if self._box is None:
            raise XlamError("These tools cannot be changed here.")
        return self._box

    def close(self) -> None:
        """End what runs for the tools."""
        if self._box is not None:
            self._box.close()


def costs(tools: Sequence[Tool], session: Session) -> dict[str, int]:
    """How many tokens each tool takes in a prompt of the session's model."""
    from .. import prompt
    from ..types import Piece

    counted = session.engine.count([(Piece(prompt.tool_text(tool)),) for tool in tools])
    return {tool.name: tokens for tool, tokens in zip(tools, counted, strict=True)}


def policy_for(tool: Tool, session: Session) -> str:
    """What the policy says of a tool, whatever its arguments are."""
    from ..policy import Allow, Asks, Deny

    call = ToolCall("", tool.name, {})
    match session.consent.verdict(tool, call, session.messages, session.tools):
        case Allow():
            return "runs unasked"
        case Asks(why):
            return f"asks: {why}"
        case Deny(why):
            return f"refused: {why}"


def report(tool: Tool) -> Iterator[str]:
    """What became of each keyword of a tool's schema."""
    from .. import grammar

    for entry in grammar.for_turn([tool]).report:
        why = f"  {entry.why}" if entry.why else ""
        yield f"  {entry.status:<8} {entry.pointer or '/'} {entry.keyword}{why}"


def gbnf(tools: Sequence[Tool]) -> str:
    """The grammar of a reply that may call these tools."""
    from .. import gbnf as forms
    from .. import grammar

    return forms.text(grammar.for_turn(list(tools)).grammar)
