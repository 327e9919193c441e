"""What can be said to the app itself, after a slash or in the palette."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """Something that the app does on demand."""

    name: str
    told: str
    """What it does, for the help and the palette."""
    argument: str = ""
    """What may follow it."""
    key: str = ""
    """The key that does the same, where there is one."""


COMMANDS = (
    Command("new", "Begin a new conversation", key="ctrl+n"),
    Command("history", "Find, open, rename, delete conversations", key="ctrl+r"),
    Command("search", "Search all conversations", "WORDS"),
    Command("models", "Choose, fetch and compare models", key="f2"),
    Command("model", "Go on with another model", "NAME"),
    Command("tools", "See and switch the tools", key="f3"),
    Command("settings", "Change the settings", key="f4"),
    Command("numbers", "Show or hide the panel of numbers", key="f5"),
    Command("retry", "Say the last thing again", key="ctrl+g"),
    Command("edit", "Change the last thing you said, and send it again", key="ctrl+e"),
    Command("branch", "Go on in a copy of this conversation"),
    Command("copy", "Copy the last answer", key="ctrl+y"),
    Command("rename", "Give this conversation a title", "TITLE"),
    Command("export", "Write this conversation to a file (.md, .json, .jsonl)", "FILE"),
    Command("import", "Take a conversation from a file (.json, .jsonl)", "FILE"),
    Command("theme", "Change the colours", "NAME"),
    Command("help", "Show the keys and the commands", key="f1"),
    Command("quit", "Leave", key="ctrl+q"),
)
BY_NAME = {command.name: command for command in COMMANDS}
