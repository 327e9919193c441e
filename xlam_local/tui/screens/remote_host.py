"""The question whether conversations may be sent to another machine."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from ...terminal_text import escape_control


class RemoteHostScreen(ModalScreen[bool]):
    """Asks at the first use of a host; returns whether it is allowed from now on.

    No letter answers it, because the user may be typing a message when it appears.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(False)", "No", priority=True)
    ]

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = escape_control(host)

    def compose(self) -> ComposeResult:
        """Create the question; the first answer is no."""
        with Vertical(id="remote-host"):
            yield Static(
                f"The model runs on {self.host}. Conversations, with all that tools return, are "
                "sent there.",
                markup=False,
            )
            yield OptionList("No", f"Yes, allow {self.host} from now on", markup=False)

    def on_mount(self) -> None:
        """Let the keys choose an answer."""
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def choose(self, selected: OptionList.OptionSelected) -> None:
        """Return the answer."""
        self.dismiss(selected.option_index == 1)
