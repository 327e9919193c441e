"""The question before a tool acts, in its place under the conversation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from ..sanitize import printable
from ..types import Always, Decision, No, Once, Question
from . import blocks
from .entries import Card
from .sheet import Sheet

PAUSE = 0.4
"""Seconds after it appears in which no key lets the call run: the user may be typing."""
ANSWERS: dict[str, Decision] = {
    "no": No(),
    "once": Once(),
    "exact": Always(exact=True),
    "tool": Always(),
    "exact-kept": Always(exact=True, keep=True),
    "tool-kept": Always(keep=True),
}
KEYS = (
    "[b]n[/] no · [b]r[/] no, because … · [b]y[/] once · [b]c[/] this call · "
    "[b]t[/] this tool · [b]C[/] [b]T[/] for good"
)


@dataclass
class Answered(Message):
    """The user has answered."""

    decision: Decision


class Approval(Vertical, can_focus=True):
    """Shows all that a call would do; what lets it run is a key of its own, Enter says no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,enter,escape", "answer('no')", "No", id="approval.no"),
        Binding("r", "reason", "No, because …", id="approval.reason"),
        Binding("y", "answer('once')", "Once", id="approval.once"),
        Binding("c", "answer('exact')", "This call", id="approval.exact"),
        Binding("t", "answer('tool')", "This tool", id="approval.tool"),
        Binding("C", "answer('exact-kept')", "Call for good", show=False, id="approval.exact-kept"),
        Binding("T", "answer('tool-kept')", "Tool for good", show=False, id="approval.tool-kept"),
        Binding("up,k", "scroll_sheet(-1)", "Up", show=False),
        Binding("down,j", "scroll_sheet(1)", "Down", show=False),
        Binding("pageup", "scroll_sheet(-10)", "Page up", show=False),
        Binding("pagedown,space", "scroll_sheet(10)", "Page down", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__(id="approval")
        self.question = question
        self.since = time.monotonic()

    def compose(self) -> ComposeResult:
        """Lay out what would run, and the answers."""
        call, why = self.question.call, self.question.why
        yield Static(printable(f"Run {call.name}? {why}"), id="question", markup=False)
        yield Sheet(list(self._whole()), id="whole")
        yield Static(KEYS, id="answers")
        yield Input(placeholder="Why not? Enter sends it to the model.", id="reason")

    def _whole(self) -> list[blocks.Block]:
        card = Card(self.question.call.name)
        card.open = True
        card.write(self.question.call.arguments)
        told = list(card.blocks(80))[1:] or blocks.of_text("(no arguments)", "muted")
        if not (preview := self.question.preview):
            return told
        shown = blocks.of_diff(preview) if "\n@@" in f"\n{preview}" else blocks.of_text(preview)
        return [*shown, blocks.Gap(), *told]

    @staticmethod
    def no() -> Decision:
        """The answer where there is none."""
        return ANSWERS["no"]

    @property
    def ready(self) -> bool:
        """Whether it has stood there long enough to be read."""
        return time.monotonic() - self.since >= PAUSE

    def action_answer(self, answer: str) -> None:
        """Give an answer; one that lets the call run only once the question can have been read."""
        if answer == "no" or self.ready:
            self.post_message(Answered(ANSWERS[answer]))

    def action_reason(self) -> None:
        """Ask for the reason that the model will read."""
        field = self.query_one("#reason", Input)
        field.add_class("shown")
        field.focus()

    @on(Input.Submitted)
    def refuse(self, submitted: Input.Submitted) -> None:
        """Refuse with the reason."""
        submitted.stop()
        self.post_message(Answered(No(submitted.value.strip())))

    def action_scroll_sheet(self, lines: int) -> None:
        """Read on."""
        self.query_one(Sheet).scroll_relative(y=lines, animate=False)
