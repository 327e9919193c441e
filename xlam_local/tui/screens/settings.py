"""The settings screen: shows the settings and saves changes in config.toml."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantFocus
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Input, Select, Static

from ... import user_file
from ...config import Config
from ...errors import UsageError, XlamError
from ...settings_table import SETTINGS, SettingSpec, SettingValue
from ..rendering.renderer import safe_text
from ..widgets.key_bar import KeyBar

ID_PREFIX = "set-"
UnsavedAnswer = Literal["save", "discard", "stay"]


class UnsavedScreen(ModalScreen[UnsavedAnswer]):
    """Asks what to do with values that were typed and not saved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "dismiss('save')", "Save"),
        Binding("d", "dismiss('discard')", "Discard"),
        Binding("escape", "dismiss('stay')", "Go on editing", priority=True),
    ]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names
        """The settings with unsaved values."""

    def compose(self) -> ComposeResult:
        """Create the question."""
        with Vertical(id="unsaved"):
            yield Static(f"Not saved yet: {', '.join(self.names)}.", markup=False)
            yield Static("[b]\\[s][/] save, [b]\\[d][/] discard, [b]\\[Esc][/] keep editing")


class SettingsScreen(Screen[None]):
    """Shows a field for each setting: Enter saves a text, and a choice is saved when it is made."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", priority=True),
        # The list, which would scroll, is asked for its bindings before the screen.
        Binding("down", "move(1)", "Next", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", show=False, priority=True),
    ]

    def __init__(
        self,
        settings: Config,
        save: Callable[[str, SettingValue | None], Config],
        choices: Mapping[str, Sequence[str]],
    ) -> None:
        super().__init__()
        self.settings = settings
        self.save = save
        """Saves a value in config.toml, where None removes it; returns all settings."""
        self.choices = choices
        """The values of settings that depend on the user's files: the models and the presets."""
        self._saved: dict[str, str] = {}
        """The saved texts of the fields by the names of their settings."""
        self._described = ""
        """The setting that is described below the list."""

    def compose(self) -> ComposeResult:
        """Lay out a row for each setting."""
        title = "Settings · Enter saves a text or opens a list of choices"
        yield Static(title, classes="title-bar")
        with VerticalScroll(can_focus=False):
            for spec in SETTINGS:
                with Horizontal(classes="setting"):
                    yield Static(spec.name, classes="name")
                    yield self._field(spec)
                    yield Static(spec.help, classes="help")
        yield Static(id="message", markup=False)
        yield KeyBar()

    def _field(self, spec: SettingSpec) -> Widget:
        value, id_ = getattr(self.settings, spec.name), f"{ID_PREFIX}{spec.name}"
        if (options := self._options(spec, value)) is not None:
            return Select(
                options,
                prompt=spec.unset,
                allow_blank=spec.default is None,
                value=Select.NULL if value is None else value,
                id=id_,
                compact=True,
            )
        text = self._saved[spec.name] = format_value(value)
        return Input(text, spec.unset, id=id_, compact=True)

    def _options(
        self, spec: SettingSpec, value: SettingValue | None
    ) -> list[tuple[str, SettingValue]] | None:
        """Return the texts and values that a setting can have; None if any text is possible."""
        if spec.type is bool:
            return [("true", True), ("false", False)]
        known = [*spec.choices, *self.choices.get(spec.name, ())]
        if not spec.choices and spec.name not in self.choices:
            return None
        if isinstance(value, str) and value not in known:
            known.append(value)
        return [(safe_text(name), name) for name in known]

    def on_mount(self) -> None:
        """Focus the first setting."""
        self._fields()[0].focus()

    def _fields(self) -> list[Widget]:
        return list(self.query("Input, Select").results(Widget))

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Show the whole description of the focused setting and its valid values."""
        if isinstance(event.widget, Input | Select):
            spec = _spec_of(event.widget)
            if spec.name == self._described:
                return  # A list of choices was closed; the message says what was saved.
            self._described = spec.name
            values = ", ".join(self.choices.get(spec.name, ())) or spec.values
            self.show_message(f"{spec.help} Values: {values}.")

    # Saving.

    @on(Input.Submitted)
    def save_submitted(self, submitted: Input.Submitted) -> None:
        """Save the text of a setting; an empty field removes it from config.toml."""
        self._save_text(submitted.input)

    def _save_text(self, field: Input) -> bool:
        spec = _spec_of(field)
        saved = self._save(spec, parse_value(field.value, spec))
        if saved:
            self._saved[spec.name] = field.value
        return saved

    @on(Select.Changed)
    def save_choice(self, changed: Select.Changed) -> None:
        """Save a choice that the user has made."""
        spec = _spec_of(changed.select)
        value: Any = changed.select.selection
        before = getattr(self.settings, spec.name)
        if value != before and not self._save(spec, value):
            with changed.select.prevent(Select.Changed):
                changed.select.value = Select.NULL if before is None else before

    def _save(self, spec: SettingSpec, value: SettingValue | None) -> bool:
        try:
            self.settings = self.save(spec.name, value)
        except XlamError as error:
            self.show_message(str(error))
            return False
        time = "now" if spec.applies_immediately else "when a model is loaded (/model NAME)"
        self.show_message(f"Saved {spec.name}; it applies {time}.")
        return True

    def unsaved(self) -> list[Input]:
        """Return the fields whose text was changed and not saved."""
        fields = self.query(Input).results(Input)
        return [field for field in fields if field.value != self._saved[_spec_of(field).name]]

    def show_message(self, text: str) -> None:
        """Show a text under the settings."""
        self.query_one("#message", Static).update(safe_text(text))

    # The keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys to the list of choices while it is open."""
        return not any(select.expanded for select in self.query(Select).results(Select))

    def action_move(self, step: int) -> None:
        """Focus the next or the previous setting."""
        fields = self._fields()
        index = fields.index(self.focused) if self.focused in fields else -1
        fields[(index + step) % len(fields)].focus()

    def action_close(self) -> None:
        """Close the screen; ask first if a changed text was not saved."""
        if fields := self.unsaved():
            names = [_spec_of(field).name for field in fields]
            self.app.push_screen(UnsavedScreen(names), self._close_with)
        else:
            self.dismiss()

    def _close_with(self, answer: UnsavedAnswer | None) -> None:
        if answer == "discard" or (answer == "save" and all(map(self._save_text, self.unsaved()))):
            self.dismiss()


def format_value(value: SettingValue | None) -> str:
    """Return the text of a setting's field."""
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return "" if value is None else str(value)


def parse_value(text: str, spec: SettingSpec) -> SettingValue | None:
    """Return the value of a setting's field; None if it is empty.

    Text that is not of the setting's type is returned as it is, so that saving it is an error.
    """
    text = text.strip()
    if spec.type is tuple:
        return parse_texts(text)
    if spec.type in (int, float):
        for number in (int, float):
            with suppress(ValueError):
                return number(text)
    return text or None


def parse_texts(text: str) -> tuple[str, ...]:
    """Return a list of texts that is written as JSON, or else the one text."""
    with suppress(UsageError):
        texts = user_file.parse_json(text, "The list")
        if isinstance(texts, list) and all(isinstance(t, str) for t in texts):
            return tuple(texts)
    return (text,) if text else ()


def _spec_of(field: Widget) -> SettingSpec:
    name = (field.id or "").removeprefix(ID_PREFIX)
    return next(spec for spec in SETTINGS if spec.name == name)
