"""The list from which the user takes the tool choice of the next message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ..rendering.renderer import cut_middle

CHOICES = {
    "auto": "the model decides",
    "required": "a call of any tool",
    "none": "text without calls",
}
"""The tool choices other than the names of tools."""


NAME_COLUMNS = 24


def _option(choice: str) -> Option:
    name = cut_middle(choice, NAME_COLUMNS)
    return Option(f"{name:<{NAME_COLUMNS}}  {CHOICES.get(choice, 'a call of this tool')}")


class ToolChoiceScreen(ModalScreen[str | None]):
    """Shows the tool choices and the tools; returns the one that the user takes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back", priority=True)]

    def __init__(self, tools: Sequence[str], current: str) -> None:
        super().__init__()
        self.choices = [*CHOICES, *tools]
        self.current = current

    def compose(self) -> ComposeResult:
        """Create the list."""
        with Vertical(id="tool-choice"):
            yield Static("Tool choice of the next message", classes="title-bar")
            yield OptionList(
                *map(_option, self.choices),
                markup=False,
            )

    def on_mount(self) -> None:
        """Highlight the current choice."""
        options = self.query_one(OptionList)
        options.highlighted = self.choices.index(self.current)
        options.focus()

    @on(OptionList.OptionSelected)
    def choose(self, selected: OptionList.OptionSelected) -> None:
        """Return the choice."""
        self.dismiss(self.choices[selected.option_index])
