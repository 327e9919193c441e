"""The app's commands: typed after a slash, chosen in the command palette, or bound to a key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command; the app runs it with its method `command_<name>`."""

    name: str
    help: str
    argument: str = ""
    """The name of its argument; empty if it takes none."""
    key: str = ""
    """The key that runs it; empty if there is none."""
    label: str = ""
    """The name of the key in the last line of the screen; empty if the key is not shown there."""

    @property
    def usage(self) -> str:
        """The command as the user types it."""
        return f"/{self.name} {self.argument}".rstrip()


COMMANDS = (
    Command("new", "Start a new conversation", key="ctrl+n", label="New"),
    Command(
        "history", "Search, open, rename or delete conversations", key="ctrl+r", label="History"
    ),
    Command("search", "Search all conversations", "WORDS"),
    Command("models", "Choose, download and compare models", key="f2", label="Models"),
    Command("model", "Switch to another model", "NAME"),
    Command("adapter", "Apply or list LoRA adapters", "CHANGE"),
    Command("tools", "Review, enable and trust tools", key="f3", label="Tools"),
    Command("settings", "Change settings", key="f4", label="Settings"),
    Command("stats", "Show or hide the statistics panel", key="f5", label="Statistics"),
    Command("choice", "Choose whether the next message calls a tool", "CHOICE", key="ctrl+t"),
    Command("retry", "Send your last message again", key="ctrl+g"),
    Command("edit", "Edit your last message and send it again", key="ctrl+e"),
    Command("branch", "Continue in a copy of this conversation"),
    Command("copy", "Copy the last answer", key="ctrl+y"),
    Command("rate", "Rate the last answer: up, down or none", "RATING"),
    Command("rename", "Rename this conversation", "TITLE"),
    Command("export", "Export this conversation to a .md, .json or .jsonl file", "FILE"),
    Command("import", "Import a conversation from a .json or .jsonl file", "FILE"),
    Command("check", "Show the rates of a check that was saved with --out", "FILE"),
    Command("theme", "Change the color theme", "NAME"),
    Command("help", "Show keys and commands", key="f1", label="Help"),
    Command("quit", "Quit", key="ctrl+q"),
)
COMMANDS_BY_NAME = {command.name: command for command in COMMANDS}
