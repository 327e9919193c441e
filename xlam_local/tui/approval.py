"""The question before a tool acts."""

from __future__ import annotations

import json
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Label, Static

from ..sanitize import printable
from ..types import Always, Decision, No, Once, Question, ToolCall


class Approval(ModalScreen[Decision]):
    """Shows a call whole and asks whether it may run; no is what Enter says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer('once')", "Run once"),
        ("a", "answer('always')", "Always run this tool"),
        ("n,escape", "answer('no')", "Refuse"),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        """Lay out what would run, and the answers."""
        with Vertical(id="approval"):
            yield Label(
                printable(f"Run {self.question.call.name}? {self.question.why}"),
                id="question",
                markup=False,
            )
            with VerticalScroll(id="whole"):
                yield Static(arguments(self.question.call), markup=False)
            with Horizontal(id="answers"):
                yield Button("No (n)", id="no", variant="primary")
                yield Button("Once (y)", id="once")
                yield Button("Always (a)", id="always", variant="warning")

    def on_mount(self) -> None:
        """Put the focus on no."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Give the answer on the button."""
        self.action_answer(event.button.id or "no")

    def action_answer(self, answer: str) -> None:
        """Give an answer and close."""
        self.dismiss(ANSWERS[answer])


ANSWERS: dict[str, Decision] = {"once": Once(), "always": Always(), "no": No()}


def arguments(call: ToolCall) -> str:
    """All arguments of a call, long text with its own lines."""
    parts = [
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in call.arguments.items()
    ]
    return printable("\n".join(parts)) or "(no arguments)"
