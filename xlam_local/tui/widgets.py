"""What a conversation looks like: lines, answers, and a card for each call."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Collapsible, Label, Markdown, Static
from textual.widgets.markdown import MarkdownStream

from ..sanitize import printable
from ..types import Result, ToolCall
from .approval import arguments

PREVIEW = 100
"""How many characters of a result stand on its card while it is folded."""


class Said(Static):
    """What the user said."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text), markup=False)


class Note(Static):
    """What the program has to say: an error, or how a turn ended."""

    def __init__(self, text: str, kind: str = "info") -> None:
        super().__init__(printable(text), markup=False, classes=kind)


class Answered(Markdown):
    """An answer, as it is written and then whole."""

    def __init__(self) -> None:
        super().__init__("")
        self._stream: MarkdownStream | None = None

    async def add(self, text: str) -> None:
        """Show the next piece."""
        self._stream = self._stream or Markdown.get_stream(self)
        await self._stream.write(printable(text))

    async def finish(self, text: str) -> None:
        """Show the whole text: a stream of pieces can lose a fence that is not closed."""
        if self._stream is not None:
            await self._stream.stop()
        await self.update(printable(text))


class Writing(Static):
    """The JSON of calls while the model writes it."""

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self.text = ""

    def add(self, text: str) -> None:
        """Show the next piece."""
        self.text += text
        self.update(printable(self.text))


class Card(Vertical):
    """A call: its name, its arguments in full, and what came of it."""

    def __init__(self, call: ToolCall, does: str) -> None:
        super().__init__()
        self.call = call
        self.does = does
        """What running the tool can do."""

    def compose(self) -> ComposeResult:
        """Lay out the call; its result comes later."""
        yield Label(self.heading("◌"), classes="name", markup=False)
        yield Static(arguments(self.call), classes="arguments", markup=False)

    def heading(self, mark: str) -> str:
        """The tool's name, after a mark for how far its call is."""
        return f"{mark} {printable(self.call.name)} · {self.does}"

    def finish(self, result: Result) -> None:
        """Show what came of the call, folded if it is long."""
        kind = "done" if result.ok else "refused" if result.refused else "failed"
        self.add_class(kind)
        mark = {"done": "✓", "refused": "✗", "failed": "!"}[kind]
        self.query_one(".name", Label).update(self.heading(mark))
        output = printable(result.output)
        body = Static(output, classes="output", markup=False)
        if len(output) <= PREVIEW and "\n" not in output:
            self.mount(body)
        else:
            first = output.splitlines()[0][:PREVIEW] if output.strip() else ""
            lines = output.count("\n") + 1
            title = f"{first} … ({lines} lines)".replace("[", r"\[")
            self.mount(Collapsible(body, title=title, collapsed=True))
