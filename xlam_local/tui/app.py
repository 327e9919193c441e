"""The Textual app: screens around one conversation, and the commands."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from ..config import Config
from ..errors import HistoryError, UsageError, XlamError
from ..history.types import RATINGS
from ..settings_table import THEMES, SettingValue
from .background_app import BackgroundApp, ModelNeeded
from .commands import COMMANDS, COMMANDS_BY_NAME, Command
from .keymap import KeyBinding, collect_bindings, load_keymap
from .screens.chat import ChatScreen, is_too_small
from .screens.help import HelpScreen
from .screens.settings import SettingsScreen
from .screens.tool_choice import ToolChoiceScreen
from .screens.turns import CommandEntered
from .state.controller import ChatController
from .state.turn_worker import TurnWorker
from .widgets.approval import Approval
from .widgets.prompt_input import PromptInput
from .widgets.transcript import Transcript

DOUBLE_PRESS_S = 2.0
"""A second Ctrl+C within this time quits."""
EXIT_TIMEOUT_S = 3.0
"""How long a running turn may take to end when the user quits."""


SHOWN_COMMANDS = ("help", "models", "tools", "settings", "stats", "history", "new")
"""The commands whose keys are shown in the last line of a screen, the most important first."""


def _command_binding(command: Command) -> Binding:
    """Return the binding of a command's key."""
    return Binding(
        command.key,
        f"command('{command.name}')",
        command.label or command.help,
        show=bool(command.label),
        priority=True,
        id=command.name,
    )


class XlamApp(BackgroundApp):
    """Chat with a model that calls tools with the user's approval.

    The method `command_<name>` runs the command of that name.
    """

    TITLE = "xlam-local"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *(_command_binding(COMMANDS_BY_NAME[name]) for name in SHOWN_COMMANDS),
        Binding("ctrl+q", "quit", "Quit", priority=True, id="app.quit"),
        *(
            _command_binding(command)
            for command in COMMANDS
            if command.key and command.name not in (*SHOWN_COMMANDS, "quit")
        ),
        Binding("ctrl+c", "interrupt", "Stop", show=False, priority=True, id="app.interrupt"),
    ]

    def __init__(self, controller: ChatController) -> None:
        super().__init__(controller)
        self.quitting = False
        self._last_command = ""
        """The command that may have opened the current screen."""
        self._interrupted = 0.0
        """When Ctrl+C was last pressed."""

    # Start and end.

    def on_mount(self) -> None:
        """Show the conversation; the model loads in the background."""
        self.animation_level = "none"
        theme = self.controller.settings.theme
        self.theme = theme if theme in self.available_themes else THEMES[0]
        self._load_keymap()
        self.push_screen(self.chat)
        self.call_after_refresh(self.start)

    def start(self) -> None:
        """Open the history and load the model, once the screen is visible."""
        # Exempt the imported modules from garbage collection: a full one would take 0.1 s.
        gc.freeze()
        self.run_worker(self._open_history, thread=True)
        self.load_model(self.controller.model)

    def _open_history(self) -> None:
        notices = self.controller.conversation.open_history()
        prompts = self.controller.conversation.past_prompts()
        self.call_from_thread(self._history_opened, notices, prompts)

    def _history_opened(self, notices: list[str], prompts: list[str]) -> None:
        self.controller.conversation.start_recording()
        for notice in (*self.controller.notices, *notices):
            self.chat.add_notice(notice, "warning")
        self.chat.prompt.add_past_prompts(prompts)
        self.chat.send_next()

    def key_bindings(self) -> dict[str, KeyBinding]:
        """Return the key bindings that the user can change, by their ids."""
        return collect_bindings((XlamApp, ChatScreen, PromptInput, Transcript, Approval))

    def _load_keymap(self) -> None:
        path = self.controller.folders.config / "keys.toml"
        try:
            self.set_keymap(load_keymap(path, self.key_bindings()))
        except XlamError as error:
            self.notify_error(error)

    async def action_quit(self) -> None:
        """Quit; a running turn is cancelled and saved first."""
        if self.quitting:
            return
        self.quitting = True
        turn = self.controller.turn
        self.chat.cancel_turn()
        self.controller.cancel_loading()
        self.controller.downloads.cancel_all()
        if turn is not None:
            self.run_worker(partial(self._exit_after, turn), thread=True)
        else:
            self.exit()

    def _exit_after(self, turn: TurnWorker) -> None:
        turn.wait(EXIT_TIMEOUT_S)
        self.call_from_thread(self.exit)

    def on_unmount(self) -> None:
        """Close the model and the history."""
        self.controller.close()

    def action_interrupt(self) -> None:
        """Copy the selected text, or else cancel what runs; quit at the second press."""
        if selected := self.screen.get_selected_text() or self.chat.prompt.selected_text:
            self.copy(selected)
            self.screen.clear_selection()
            return
        now = time.monotonic()
        if now - self._interrupted < DOUBLE_PRESS_S:
            self.call_later(self.action_quit)
            return
        self._interrupted = now
        if self.chat.cancel_turn() or self.controller.cancel_loading():
            return
        self.chat.prompt.clear()
        self.notify("Press Ctrl+C again to quit.", timeout=DOUBLE_PRESS_S)

    # Running commands.

    @on(ModelNeeded)
    def choose_model(self) -> None:
        """Open the models screen, as there is no model."""
        self.run_command("models")

    @on(CommandEntered)
    def run_entered_command(self, entered: CommandEntered) -> None:
        """Run a command that was typed after a slash."""
        self.run_command(entered.name, entered.argument)

    def action_command(self, name: str) -> None:
        """Run the command of a key, or close the screen that the same key has opened."""
        if self._asks_about_unsaved():
            return
        if name == self._last_command and self.screen is not self.chat:
            self.close_screens()
        else:
            self.run_command(name)

    def run_command(self, name: str, argument: str = "") -> None:
        """Close other screens, and run a command."""
        if self._asks_about_unsaved():
            return
        self.close_screens()
        if is_too_small(self.size) and name != "quit":
            return
        self._last_command = name
        try:
            getattr(self, f"command_{name}")(argument)
        except XlamError as error:
            self.notify_error(error)

    def _asks_about_unsaved(self) -> bool:
        """Return whether settings are not saved yet, which the user is then asked about."""
        for screen in self.screen_stack:
            if isinstance(screen, SettingsScreen) and screen.unsaved():
                if isinstance(self.screen, SettingsScreen):
                    self.screen.action_close()
                return True
        return False

    def close_screens(self) -> None:
        """Close the screens over the conversation."""
        while self.screen is not self.chat and len(self.screen_stack) > 2:
            self.pop_screen()

    def on_resize(self, event: events.Resize) -> None:
        """Close the other screens if the terminal is too small: their layout would fail."""
        if is_too_small(event.size):
            self.close_screens()

    def action_command_palette(self) -> None:
        """Open the command palette."""
        if not is_too_small(self.size):
            super().action_command_palette()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield the commands of the command palette: those without an argument, and the themes."""
        for command in COMMANDS:
            if command.key or not command.argument:
                run = partial(self.run_command, command.name)
                yield SystemCommand(command.name.capitalize(), command.help, run)
        for theme in self._themes():
            run = partial(self.run_command, "theme", theme)
            yield SystemCommand(f"Theme: {theme}", "Change the color theme and save it", run)

    def _themes(self) -> list[str]:
        """Return the themes that can be saved and that this version of Textual has."""
        return [theme for theme in THEMES if theme in self.available_themes]

    # Commands for conversations.

    def command_new(self, _argument: str) -> None:
        """Start a new conversation."""
        if not self.chat.is_busy():
            self.controller.conversation.start_new()
            self._conversation_changed()

    def command_history(self, argument: str) -> None:
        """Open the history screen, with words to search for."""
        # Importing the history loads SQLite, which the start of the app does not need.
        from .screens.history import HistoryScreen

        conversation = self.controller.conversation
        if conversation.history is None and not conversation.history_opened:
            raise HistoryError("The history is being opened. Try again in a moment.")
        if conversation.history is None:
            raise HistoryError("There is no history: conversations are not saved.")
        screen = HistoryScreen(
            conversation.history,
            conversation.export_saved,
            self.controller.find_tool,
            conversation.id,
            argument,
        )
        screen.why_not_open = self.controller.why_busy
        screen.cwd = conversation.cwd
        self.push_screen(screen, self._open_conversation)

    command_search = command_history

    def _open_conversation(self, conversation_id: int | None) -> None:
        if conversation_id is not None:
            self.controller.conversation.resume(conversation_id)
            self._conversation_changed()

    def _conversation_changed(self) -> None:
        self.chat.show_conversation()
        self.refresh_title()

    def command_retry(self, _argument: str) -> None:
        """Send the last message again."""
        self.chat.retry()

    def command_edit(self, _argument: str) -> None:
        """Edit the last message."""
        self.chat.edit_last()

    def command_choice(self, argument: str) -> None:
        """Set the tool choice of the next message, or let the user choose it."""
        tools = [tool.name for tool in self.controller.tools.current()]
        if argument:
            self.chat.set_tool_choice(argument, tools)
            return
        current = self.chat.tool_choice
        screen = ToolChoiceScreen(tools, current if current in tools else "auto")
        self.push_screen(screen, lambda choice: self.chat.set_tool_choice(choice or current, tools))

    def command_branch(self, _argument: str) -> None:
        """Continue in a copy of the conversation."""
        self.chat.branch()

    def command_copy(self, _argument: str) -> None:
        """Copy the last answer."""
        answer = self.chat.last_answer()
        if answer is None:
            raise UsageError("There is no answer to copy.")
        self.copy(answer)

    def command_rate(self, argument: str) -> None:
        """Rate the last answer."""
        if argument not in RATINGS:
            raise UsageError("A rating is missing: /rate up, /rate down or /rate none")
        self.controller.conversation.rate_last_answer(RATINGS[argument])
        self.chat.add_notice(f"The rating of the last answer is: {argument}.")

    def command_rename(self, argument: str) -> None:
        """Rename the conversation."""
        if not argument:
            raise UsageError("A title is missing: /rename TITLE")
        self.controller.conversation.rename(argument)
        self.refresh_title()

    def command_export(self, argument: str) -> None:
        """Export the conversation to a file."""
        path = self.controller.conversation.export(argument)
        self.chat.add_notice(f"Exported to {path}.")

    def command_import(self, argument: str) -> None:
        """Import a conversation from a file."""
        if not argument:
            raise UsageError("A file is missing: /import FILE")
        if not self.chat.is_busy():
            self.controller.conversation.import_file(Path(argument).expanduser())
            self._conversation_changed()

    # Commands for models, tools and the app.

    def command_check(self, argument: str) -> None:
        """Show the results of a check."""
        if not argument:
            raise UsageError("A file is missing: /check FILE")
        # The app's start does not need the modules of scenarios.
        from .screens.check import CheckScreen

        self.push_screen(CheckScreen(Path(argument).expanduser()))

    def command_models(self, _argument: str) -> None:
        """Open the models screen."""
        # Importing the models takes 50 ms, which the start of the app does not need.
        from .screens.models import models_screen

        self.push_screen(models_screen(self.controller), self._use_model)

    def _use_model(self, name: str | None) -> None:
        self.chat.update_status()  # Downloads may have been started, paused or cancelled.
        if name is not None:
            self.load_model(name)

    def command_model(self, argument: str) -> None:
        """Switch to another model, or open the models screen."""
        if argument:
            self.load_model(argument)
        else:
            self.command_models("")

    def command_tools(self, _argument: str) -> None:
        """Open the tools screen."""
        from .screens.tools import ToolsScreen

        controller = self.controller
        self.push_screen(
            ToolsScreen(
                controller.tools,
                controller.refresh_tools,
                controller.tool_costs,
                controller.tool_policy,
            )
        )

    def command_settings(self, _argument: str) -> None:
        """Open the settings screen."""
        controller = self.controller
        choices = controller.setting_choices()
        self.push_screen(SettingsScreen(controller.settings, self.save_setting, choices))

    def save_setting(self, key: str, value: SettingValue | None) -> Config:
        """Save a setting, and return all; a theme applies immediately."""
        if key == "theme" and value is not None:
            self.command_theme(str(value))
        else:
            self.controller.save_setting(key, value)
        return self.controller.settings

    def command_theme(self, argument: str) -> None:
        """Change the color theme and save it."""
        if argument not in self._themes():
            themes = ", ".join(self._themes())
            raise UsageError(f"There is no theme {argument!r}. Use one of: {themes}.")
        self.theme = argument
        self.controller.save_setting("theme", argument)

    def command_stats(self, _argument: str) -> None:
        """Show or hide the statistics panel."""
        self.measure_system()
        self.chat.toggle_stats()

    def command_help(self, _argument: str) -> None:
        """Open the help screen."""
        self.push_screen(HelpScreen(self.key_bindings()))

    def command_quit(self, _argument: str) -> None:
        """Quit."""
        self.call_later(self.action_quit)
