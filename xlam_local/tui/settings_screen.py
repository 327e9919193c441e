"""The screen of the settings, which are written back to the user's file."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from ..config import Config
from ..errors import XlamError
from .pen import clean

if TYPE_CHECKING:
    from .app import XlamApp

TOLD = {
    "model": "The model when none is named",
    "context": "Tokens of context",
    "max_tokens": "The most tokens in one reply",
    "max_steps": "The most replies in one turn",
    "turn_seconds": "The most seconds in one turn",
    "turn_tokens": "The most tokens in one turn",
    "temperature": "0 takes the most likely token",
    "threads": "Threads that compute; empty: all fast cores",
    "gpu_layers": "Layers on the GPU; empty: as many as fit",
    "kv": "KV cache: f16, q8_0, q4_0",
    "fallback": "Try less where a model does not fit",
    "strict_context": "Refuse what does not fit the context",
    "prefix_cache": "MiB of disk for prompts read already",
    "theme": "Colours of the app",
}
AT_ONCE = (
    "max_tokens",
    "max_steps",
    "turn_seconds",
    "turn_tokens",
    "temperature",
    "strict_context",
    "theme",
)
"""Settings that hold from the next turn on; the others when the model is loaded anew."""


class SettingsScreen(Screen[None]):
    """A line for each setting; Enter keeps what is typed."""

    app: XlamApp
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back", priority=True),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the settings."""
        yield Static("Settings · Enter keeps a change in config.toml", classes="head")
        with VerticalScroll():
            for field in fields(Config):
                with Horizontal(classes="setting"):
                    yield Static(field.name, classes="name")
                    value = getattr(self.app.desk.settings, field.name)
                    yield Input(_text(value), id=f"set-{field.name}", compact=True)
                    yield Static(TOLD.get(field.name, ""), classes="told")
        yield Static(id="told", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin at the first one."""
        self.query(Input).first().focus()

    @on(Input.Submitted)
    def keep(self, submitted: Input.Submitted) -> None:
        """Write a setting down."""
        name = (submitted.input.id or "").removeprefix("set-")
        try:
            self.app.change_setting(name, _value(submitted.value))
        except XlamError as error:
            self._tell(str(error))
            return
        now = "now" if name in AT_ONCE else "when a model is loaded (/model NAME)"
        self._tell(f"{name} is kept; it holds {now}.")

    def _tell(self, text: str) -> None:
        self.query_one("#told", Static).update(clean(text))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _value(text: str) -> Any:
    """What was typed, as the number or the word it is; nothing takes the setting out."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
