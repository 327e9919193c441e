"""The current conversation: its session, and where it is saved."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import HistoryError, ModelMissing
from ...history import Conversation, History, Summary
from ...history.export import read_conversations
from ...history.titles import title_of
from ...types import AssistantMessage, Message, SystemMessage, ToolResult, UserMessage
from .conversation_files import write_export

if TYPE_CHECKING:
    from ...session import Session


@dataclass
class CurrentConversation:
    """The conversation on the screen; it is saved once the history and a session are open."""

    history_path: Path
    cwd: Path
    """The working folder, which is saved with the conversation and takes exports."""
    ephemeral: bool = False
    """Whether conversations are not saved."""
    session: Session | None = None
    """None until the first model is loaded."""
    history: History | None = None
    model_sha256: str = ""
    """The SHA-256 of the model's file; empty if unknown."""
    adapters: str = ""
    """The LoRA adapters of the model, as in `NAME+NAME:SCALE`."""
    history_opened: bool = False
    """Whether `open_history` has finished, with or without a history."""
    close_error: str = ""
    """What could not be saved when the history was closed."""
    _saved: Conversation | None = None
    """Records the session's messages in the history."""

    # The history.

    def open_history(self) -> list[str]:
        """Open the history; return notices for the user."""
        if self.ephemeral:
            self.history_opened = True
            return []
        try:
            self.history = History(self.history_path)
        except HistoryError as error:
            return [f"{error} This conversation is not saved."]
        finally:
            self.history_opened = True
        if self.history.read_only:
            return [f"{self.history.note} This conversation is not saved."]
        return [self.history.note] if self.history.note else []

    def past_prompts(self) -> list[str]:
        """Return the user's messages of earlier conversations, the oldest first."""
        return [] if self.history is None else self.history.user_messages()

    def start_recording(self) -> None:
        """Save the conversation from now on, if the history and a session are open."""
        if self._saved is None and self.history is not None and self.session is not None:
            self._saved = self._new_record()
            self.describe()
            self.session.record_to(self._saved)

    def _new_record(self) -> Conversation | None:
        if self.history is None or self.history.read_only:
            return None
        return Conversation(self.history)

    def describe(self) -> None:
        """Save the model and the working folder with the conversation."""
        if self._saved is not None:
            self._saved.model = self.active_session.engine.name
            self._saved.model_sha256 = self.model_sha256
            self._saved.adapters = self.adapters
            self._saved.folder = str(self.cwd)

    @property
    def id(self) -> int | None:
        """The id in the history; None until a message is saved."""
        return self._saved.id if self._saved is not None else None

    def was_forked(self) -> bool:
        """Return whether another program continued this conversation; true once for each time."""
        if self._saved is None or not self._saved.forked:
            return False
        self._saved.forked = False
        return True

    def title(self) -> str:
        """Return the title; empty until a message is saved."""
        if self.history is None or self.id is None:
            return ""
        return self.history.get(self.id).title

    def rename(self, title: str) -> None:
        """Change the title.

        Raises:
            HistoryError: the conversation is not saved.
        """
        if self.history is None or self.id is None:
            raise HistoryError("This conversation is not saved.")
        self.history.rename(self.id, title)

    def rate_last_answer(self, rating: int) -> None:
        """Rate the last answer: 1 is good, -1 is bad, 0 removes the rating.

        Raises:
            HistoryError: there is no answer, or the conversation is not saved.
        """
        if self.history is None or self.id is None:
            raise HistoryError("This conversation is not saved, so its answers cannot be rated.")
        answers = [n for n, m in enumerate(self.messages) if isinstance(m, AssistantMessage)]
        if not answers:
            raise HistoryError("There is no answer to rate yet.")
        self.history.rate(self.id, answers[-1], rating)

    # The messages.

    @property
    def active_session(self) -> Session:
        """The session.

        Raises:
            ModelMissing: no model was loaded yet.
        """
        if self.session is None:
            raise ModelMissing("No model is loaded.")
        return self.session

    @property
    def messages(self) -> Sequence[Message]:
        """The messages so far."""
        return self.session.messages if self.session is not None else ()

    def start_new(self) -> None:
        """Start a new conversation; the system message stays."""
        if self.session is not None:
            system = [m for m in self.messages[:1] if isinstance(m, SystemMessage)]
            self._saved = self._new_record()
            self.describe()
            self.session.resume(system, self._saved)

    def resume(self, conversation_id: int) -> None:
        """Continue a conversation of the history."""
        assert self.history is not None
        conversation, messages = Conversation.resume(self.history, conversation_id)
        self._saved = None if self.history.read_only else conversation
        self.describe()
        self.active_session.resume(messages, self._saved)

    def rewind(self, index: int) -> None:
        """Remove the messages from `index` on, in the session and in the history."""
        self.active_session.rewind(index)
        if self._saved is not None:
            self._saved.rewind(index)

    def rewind_keeping_copy(self, index: int) -> None:
        """Remove the messages from `index` on; save a copy first if a later turn would be lost."""
        later = [m for m in self.messages[index + 1 :] if isinstance(m, UserMessage)]
        if later and self.history is not None and self.id is not None:
            self.history.branch(self.id, len(self.messages))
        self.rewind(index)

    def branch(self, index: int) -> None:
        """Continue in a copy of the messages before `index`; the original stays in the history."""
        while index < len(self.messages) and isinstance(self.messages[index], ToolResult):
            index += 1
        if self.history is None or self.id is None:
            self.active_session.rewind(index)
            return
        self.resume(self.history.branch(self.id, index))

    # Files.

    def export(self, name: str) -> Path:
        """Export the conversation to a file of the working folder; return its path.

        Raises:
            UsageError: see `write_export`.
        """
        return write_export(self._summary(), self.messages, self.cwd, name)

    def export_saved(self, conversation_id: int) -> Path:
        """Export a conversation of the history as Markdown; return the file's path.

        Raises:
            UsageError: see `write_export`.
        """
        assert self.history is not None
        summary = self.history.get(conversation_id)
        return write_export(summary, self.history.messages(conversation_id), self.cwd, "")

    def import_file(self, path: Path) -> None:
        """Import the conversations of a file, and continue the last one.

        Raises:
            ModelMissing: no model is loaded.
            UsageError: the file cannot be read or is no conversation.
        """
        session = self.active_session
        found = read_conversations(self.cwd / path)
        if self.history is None:
            session.resume(found[-1][1])
            return
        ids = [self.history.import_messages(about.title, said, about) for about, said in found]
        self.resume(ids[-1])

    def _summary(self) -> Summary:
        if self.history is not None and self.id is not None:
            return self.history.get(self.id)
        now = time.time()
        model = self.session.engine.name if self.session is not None else ""
        return Summary(0, title_of(self.messages), now, now, model)

    def close(self) -> None:
        """Save what is not saved yet, and close the history; `close_error` says what failed."""
        if self._saved is not None:
            try:
                self._saved.flush()
            except HistoryError as error:
                self.close_error = f"{error} The end of the conversation is not saved."
        if self.history is not None:
            self.history.close()
