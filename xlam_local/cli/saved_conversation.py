"""The conversation that `ask` begins or continues, and its record in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from .. import config
from ..errors import HistoryError, UsageError
from ..history import Conversation, History
from ..history.export import read_conversations
from ..terminal_text import escape_control
from ..types import Message, SystemMessage, UserMessage

OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option(
        "-c", "--continue", "latest", is_flag=True, help="Continue the latest conversation."
    ),
    click.option(
        "--conversation",
        "number",
        type=int,
        metavar="NUMBER",
        help="Continue this conversation of `history list`.",
    ),
    click.option(
        "--messages",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Begin with the conversation in this file: JSON or JSONL, as `history import` reads.",
    ),
    click.option(
        "--ephemeral",
        is_flag=True,
        help="Keep nothing of the conversation on disk: no history, prompt cache, results or logs.",
    ),
)


@dataclass(frozen=True, slots=True)
class ConversationOptions:
    """Which conversation to continue, and whether to save it."""

    latest: bool = False
    number: int | None = None
    messages: Path | None = None
    ephemeral: bool = False


@dataclass(slots=True)
class SavedConversation:
    """The messages so far, and what records those that follow."""

    messages: list[Message] = field(default_factory=list)
    recorder: Conversation | None = None
    """None if nothing is saved."""
    recorded: bool = True
    """Whether the messages so far are in the history."""
    ephemeral: bool = False
    """Whether no prompts, results or logs of the conversation may be saved."""

    def take_request(self) -> UserMessage:
        """Remove and return the user message with which the conversation ends, or an empty one."""
        if not self.recorded and self.messages and isinstance(self.messages[-1], UserMessage):
            message = self.messages.pop()
            assert isinstance(message, UserMessage)
            return message
        return UserMessage("")

    def set_system(self, text: str | None, explicit: bool) -> None:
        """Begin with a system message, unless the conversation has one.

        Raises:
            UsageError: the user named another one, which is `explicit`.
        """
        has_one = any(isinstance(message, SystemMessage) for message in self.messages[:1])
        if explicit and (has_one or (self.recorded and self.messages)):
            raise UsageError("--system is for a new conversation; this one has begun without it.")
        if text and not has_one and not (self.recorded and self.messages):
            self.messages.insert(0, SystemMessage(text))
            self.recorded = False

    def number(self) -> int | None:
        """Return the number in the history; None if nothing is saved."""
        return self.recorder.id if self.recorder is not None else None

    def start_recording(self, model: str, folder: Path) -> None:
        """Record the model, the working folder, and the messages that are not recorded yet."""
        if self.recorder is None:
            return
        self.recorder.model, self.recorder.folder = model, str(folder.absolute())
        if not self.recorded:
            try:
                for message in self.messages:
                    self.recorder.append(message)
            except HistoryError as error:
                click.echo(escape_control(str(error)), err=True)


def conversation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a conversation."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@contextmanager
def open_conversation(options: ConversationOptions) -> Iterator[SavedConversation]:
    """Open the conversation to continue, or a new one.

    Raises:
        UsageError: two conversations are named, or the file is not one conversation.
        HistoryError: the history cannot be read, or has no such conversation.
    """
    if sum([options.latest, options.number is not None, options.messages is not None]) > 1:
        raise UsageError("--continue, --conversation and --messages exclude each other.")
    messages = _read_messages(options.messages) if options.messages is not None else []
    history = _open_history(options)
    try:
        if history is None:
            saved = SavedConversation(messages, recorded=not messages)
        elif options.latest or options.number is not None:
            saved = _resume(history, options)
        else:
            recorder = None if history.read_only else Conversation(history)
            saved = SavedConversation(messages, recorder, recorded=not messages)
        saved.ephemeral = options.ephemeral
        yield saved
    finally:
        if history is not None:
            history.close()


def _read_messages(path: Path) -> list[Message]:
    found = read_conversations(path)
    if len(found) != 1:
        raise UsageError(
            f"{path} has {len(found)} conversations; --messages needs a file with one."
        )
    return found[0][1]


def _open_history(options: ConversationOptions) -> History | None:
    """Open the history; None if it is not needed, or not usable for a new conversation."""
    continues = options.latest or options.number is not None
    if options.ephemeral and not continues:
        return None
    try:
        history = History(config.folders().data / "history.db")
    except HistoryError as error:
        if continues:
            raise
        click.echo(escape_control(f"{error} This conversation is not saved."), err=True)
        return None
    if history.note:
        click.echo(escape_control(history.note), err=True)
    return history


def _resume(history: History, options: ConversationOptions) -> SavedConversation:
    number = options.number
    if number is None:
        latest = history.summaries(limit=1)
        if not latest:
            raise HistoryError("The history has no conversation to continue.")
        number = latest[0].id
    if options.ephemeral or history.read_only:
        return SavedConversation(history.messages(number))
    recorder, messages = Conversation.resume(history, number)
    return SavedConversation(messages, recorder)
