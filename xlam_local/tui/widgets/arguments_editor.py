"""The editor for the arguments of a call that waits for approval."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static, TextArea

from ... import schema, user_file
from ...errors import UsageError
from ...types import ApprovalRequest
from ..rendering.renderer import safe_text

HINT = "Edit the arguments. Ctrl+S shows the call again with them; Escape leaves them as they were."


@dataclass
class ArgumentsEdited(Message):
    """The user has left the editor."""

    arguments: Mapping[str, Any] | None
    """Valid arguments; None if they stay as they were."""


class ArgumentsEditor(Vertical):
    """The arguments as JSON; they must be valid for the tool's schema."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Use these", priority=True),
        Binding("escape", "cancel", "Back", priority=True),
    ]

    def __init__(self, request: ApprovalRequest) -> None:
        super().__init__()
        self.request = request

    def compose(self) -> ComposeResult:
        """Create the field."""
        yield TextArea(editable_json(self.request.call.arguments), id="arguments", compact=True)
        yield Static(HINT, id="problem", markup=False)

    def on_mount(self) -> None:
        """Focus the field."""
        self.query_one(TextArea).focus()

    def action_save(self) -> None:
        """Use the arguments if they are valid."""
        try:
            arguments = parse_arguments(self.query_one(TextArea).text, self.request)
        except ValueError as error:
            self.query_one("#problem", Static).update(safe_text(str(error)))
        else:
            self.post_message(ArgumentsEdited(arguments))

    def action_cancel(self) -> None:
        """Leave the arguments as they were."""
        self.post_message(ArgumentsEdited(None))


def editable_json(arguments: Mapping[str, Any]) -> str:
    """Return arguments as JSON, with characters that are not visible as escapes."""
    text = json.dumps(dict(arguments), indent=2, ensure_ascii=False)
    return "".join(
        char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in text
    )


def parse_arguments(text: str, request: ApprovalRequest) -> Mapping[str, Any]:
    """Return the arguments that the user has written.

    Raises:
        ValueError: they are not valid; the message is a sentence.
    """
    try:
        arguments = user_file.parse_json(text, "This")
    except UsageError as error:
        raise ValueError(str(error)) from error
    if not isinstance(arguments, dict):
        raise ValueError("The arguments must be a JSON object: {...}.")
    if problems := schema.validate(arguments, request.tool.parameters):
        raise ValueError(" ".join(problems))
    return arguments
