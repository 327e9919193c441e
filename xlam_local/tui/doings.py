"""What the commands do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding

from ..errors import UsageError, XlamError

if TYPE_CHECKING:
    from .app import XlamApp

DEFAULT_THEME = "textual-dark"


def new(app: XlamApp, _argument: str) -> None:
    """Begin a new conversation."""
    if not app.chat.busy():
        app.desk.begin_anew()
        app.chat.show_conversation()
        app.noticed()


def history(app: XlamApp, argument: str) -> None:
    """Open the screen of the conversations."""
    from .history_screen import HistoryScreen

    if app.desk.history is None:
        raise XlamError("No history is kept here.")
    if app.desk.session is None:
        raise XlamError("The history opens when a model is there.")
    if not app.chat.busy():
        app.push_screen(
            HistoryScreen(app.desk.history, argument), lambda number: opened(app, number)
        )


def opened(app: XlamApp, number: int | None) -> None:
    """Go on with a conversation of the history."""
    if number is not None:
        app.desk.resume(number)
        app.chat.show_conversation()
        app.noticed()


def models(app: XlamApp, _argument: str) -> None:
    """Open the screen of the models."""
    from .models_screen import ModelsScreen

    app.push_screen(ModelsScreen(), lambda name: None if name is None else app.load(name))


def model(app: XlamApp, argument: str) -> None:
    """Go on with another model."""
    if not argument:
        models(app, "")
    else:
        app.load(argument)


def tools(app: XlamApp, _argument: str) -> None:
    """Open the screen of the tools."""
    from .tools_screen import ToolsScreen

    if app.desk.session is None:
        raise XlamError("The tools are there when a model is.")
    app.push_screen(ToolsScreen())


def settings(app: XlamApp, _argument: str) -> None:
    """Open the screen of the settings."""
    from .settings_screen import SettingsScreen

    app.push_screen(SettingsScreen())


def numbers(app: XlamApp, _argument: str) -> None:
    """Show or hide the panel."""
    app.toggle_panel()


def retry(app: XlamApp, _argument: str) -> None:
    """Say the last thing again."""
    app.chat.again()


def edit(app: XlamApp, _argument: str) -> None:
    """Change the last thing that was said."""
    from .entries import Said

    said = [entry for entry in app.chat.transcript.entries if isinstance(entry, Said)]
    if said:
        app.chat.edit(said[-1])


def branch(app: XlamApp, _argument: str) -> None:
    """Go on in a copy."""
    app.chat.branch()


def copy(app: XlamApp, _argument: str) -> None:
    """Copy the last answer."""
    answer = app.chat.last_answer()
    if answer is None:
        raise XlamError("There is no answer to copy yet.")
    app.copy(answer)


def rename(app: XlamApp, argument: str) -> None:
    """Give the conversation a title."""
    if not argument:
        raise UsageError("Say the title: /rename TITLE.")
    kept, number = app.desk.history, app.desk.number
    if kept is None or number is None:
        raise XlamError("This conversation is not written down.")
    kept.rename(number, argument)
    app.noticed()


def export(app: XlamApp, argument: str) -> None:
    """Write the conversation to a file."""
    path = app.desk.export(argument)
    app.chat.note(f"Written to {path}.")


def import_(app: XlamApp, argument: str) -> None:
    """Take a conversation from a file."""
    if not argument:
        raise UsageError("Say which file: /import FILE.")
    if not app.chat.busy():
        app.desk.take(Path(argument).expanduser())
        app.chat.show_conversation()
        app.noticed()


def theme(app: XlamApp, argument: str) -> None:
    """Change the colours, for good."""
    if argument not in app.available_themes:
        raise UsageError(f"There is no theme {argument!r}: {', '.join(app.available_themes)}.")
    app.theme = argument
    app.desk.settle("theme", argument)


def help_(app: XlamApp, _argument: str) -> None:
    """Show the keys and the commands."""
    from .help_screen import HelpScreen

    app.push_screen(HelpScreen(bindings(app)))


def leave(app: XlamApp, _argument: str) -> None:
    """Leave."""
    app.call_later(app.action_leave)


def known_theme(app: XlamApp, name: str) -> str:
    """The theme of that name, or the usual one."""
    return name if name in app.available_themes else DEFAULT_THEME


def bindings(app: XlamApp) -> Mapping[str, tuple[str, str]]:
    """What can be given another key: its key and what it does, by its name."""
    from .chat import ChatScreen
    from .prompt import Prompt
    from .question import Approval
    from .transcript import Transcript

    found: dict[str, tuple[str, str]] = {}
    for owner in (type(app), ChatScreen, Prompt, Transcript, Approval):
        for binding in owner.BINDINGS:
            if isinstance(binding, Binding) and binding.id is not None:
                found[binding.id] = (binding.key, binding.description)
    return found


DOINGS: Mapping[str, Callable[[XlamApp, str], None]] = {
    "new": new,
    "history": history,
    "search": history,
    "models": models,
    "model": model,
    "tools": tools,
    "settings": settings,
    "numbers": numbers,
    "retry": retry,
    "edit": edit,
    "branch": branch,
    "copy": copy,
    "rename": rename,
    "export": export,
    "import": import_,
    "theme": theme,
    "help": help_,
    "quit": leave,
}
