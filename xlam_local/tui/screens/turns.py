"""The part of the main screen that runs turns: sending messages, events, and approvals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from ...errors import UsageError, XlamError, error_for
from ...types import (
    AssistantMessage,
    Heartbeat,
    SystemMessage,
    ToolCalls,
    ToolResult,
    UserMessage,
)
from ..commands import COMMANDS_BY_NAME
from ..rendering.renderer import safe_text
from ..state.attachments import attach_files
from ..state.controller import ChatController
from ..state.frame_pacer import FramePacer
from ..state.turn_stats import TurnStats
from ..state.turn_worker import PendingApproval, TurnEvent, TurnWorker
from ..widgets.approval import Approval, ApprovalAnswered
from ..widgets.key_bar import KeyBar
from ..widgets.presenter import TranscriptPresenter
from ..widgets.prompt_area import PromptArea
from ..widgets.prompt_input import PromptSubmitted
from ..widgets.status_bar import StatsPanel, StatusBar, StatusSnapshot
from ..widgets.transcript import Transcript
from .tool_choice import CHOICES

POLL_BUDGET_S = 0.02
"""Events that take longer to show wait for the next poll."""
CARD_INTERVAL_S = 0.2
"""Seconds between two updates of the seconds that a tool has run."""
STATUS_INTERVAL_S = 1.0
"""Seconds between two updates of the status bar while the activity stays the same."""
BELL_AFTER_S = 20.0
"""The end of a turn that takes longer rings the bell."""
MAX_QUEUED_CHARS = 200
"""Characters that are shown of a queued message."""
RETRY_HINT = "(Ctrl+G tries again)"


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message that waits for the end of the turn."""

    message: UserMessage
    tool_choice: str


@dataclass
class TurnStarted(Message):
    """A turn runs in the background; its events have to be polled."""


@dataclass
class TitleChanged(Message):
    """A message was added, which may have changed the conversation's title."""


@dataclass
class CommandEntered(Message):
    """The user has entered a command of the app."""

    name: str
    argument: str


class TurnScreen(Screen[None]):
    """Shows the conversation and runs turns."""

    def __init__(self, controller: ChatController) -> None:
        super().__init__()
        self.controller = controller
        self.stats = TurnStats()
        self.model_state = ""
        """What happens to the model outside a turn; empty if nothing."""
        self.transcript = Transcript(id="chat")
        self.panel = StatsPanel(id="stats")
        self.prompt_area = PromptArea(controller.cwd)
        self.prompt = self.prompt_area.prompt
        self.queue: list[QueuedMessage] = []
        self.tool_choice = "auto"
        """The tool choice of the next message."""
        self.editing: int | None = None
        """The index of the message that the prompt replaces."""
        self._pending: PendingApproval | None = None
        self.approval: Approval | None = None
        """The open approval prompt; one that is being removed may still be on the screen."""
        self._pacer = FramePacer()
        self._cards_updated = 0.0
        """When the seconds of running tools were last updated."""
        self._status_updated = (0.0, "")
        """When the status bar was last updated in a turn, and the activity it showed."""

    def compose(self) -> ComposeResult:
        """Create the widgets."""
        with Horizontal(id="main"):
            with Vertical(id="conversation"):
                yield Static(id="missing-model", markup=False)
                yield self.transcript
                yield Static(id="queue", markup=False)
                yield self.prompt_area
                yield StatusBar(id="status", markup=False)
            yield self.panel
        yield KeyBar()
        yield Static(id="too-small", markup=False)

    def on_mount(self) -> None:
        """Focus the prompt."""
        self.presenter = TranscriptPresenter(self.transcript, self.controller.find_tool)
        self.prompt.focus()
        self.update_status()

    # Sending messages.

    @on(PromptSubmitted)
    def submit(self, submitted: PromptSubmitted) -> None:
        """Run a command of the app, or send a message to the model."""
        name, _, argument = submitted.text[1:].partition(" ")
        is_command = submitted.text.startswith("/") and "\n" not in submitted.text
        if is_command and name in COMMANDS_BY_NAME:
            self.post_message(CommandEntered(name, argument.strip()))
        else:
            self.send(submitted.text)

    def send(self, text: str) -> None:
        """Send a message with the files that it attaches; during a turn, queue it."""
        try:
            message = attach_files(text, self.controller.cwd)
        except XlamError as error:
            self.prompt.set_text(text)
            self.add_notice(str(error), "error")
            return
        if self.editing is not None:
            if self.is_busy():
                self.prompt.set_text(text)
                return
            self.controller.conversation.rewind_keeping_copy(self.editing)
            self.editing = None
            self.show_conversation()
        self.queue.append(QueuedMessage(message, self._take_tool_choice()))
        self.send_next()

    def set_tool_choice(self, choice: str, tools: Sequence[str]) -> None:
        """Set the tool choice of the next message: auto, required, none, or one of the tools.

        Raises:
            UsageError: there is no such tool.
        """
        if choice not in (*CHOICES, *tools):
            names = ", ".join((*CHOICES, *tools))
            raise UsageError(f"There is no tool {choice!r}. The choices are: {names}.")
        self.tool_choice = choice
        self.prompt_area.show_tool_choice(choice)

    def _take_tool_choice(self) -> str:
        """Return the tool choice for a message that is sent now; the next one has the default."""
        choice = self.tool_choice
        self.set_tool_choice("auto", ())
        return choice

    def send_next(self) -> None:
        """Send the first message of the queue, if the model is ready."""
        if self.queue and self.controller.turn is None and self.controller.ready:
            queued = self.queue.pop(0)
            self.start_turn(queued.message, queued.tool_choice)
        texts = [safe_text(queued.message.text) for queued in self.queue]
        lines = [text.splitlines()[0][:MAX_QUEUED_CHARS] for text in texts]
        queue = self.query_one("#queue", Static)
        queue.update("\n".join(f"queued: {line}" for line in lines))
        queue.display = bool(lines)
        self.update_status()

    def start_turn(self, message: UserMessage, tool_choice: str) -> None:
        """Start a turn with a message."""
        self._prepare_turn()
        self.controller.start_turn(message, tool_choice)
        self.presenter.handle_event(message)

    def _prepare_turn(self) -> None:
        self.transcript.following = True
        self.presenter.message_index = len(self.controller.conversation.messages)
        self.stats.start()
        # Each blink of the cursor redraws a line, which takes CPU time from the model.
        self.prompt.cursor_blink = False
        self.post_message(TurnStarted())

    def is_busy(self) -> bool:
        """Return whether the conversation cannot be changed now; if so, tell the user why."""
        if reason := self.controller.why_busy():
            self.notify(reason)
        return bool(reason)

    # The events of the turn.

    def poll(self) -> None:
        """Show what has happened in the turn since the last poll."""
        turn = self.controller.turn
        if turn is None:
            return
        finished = turn.finished
        if not (finished or self._pacer.is_due()):
            return
        deadline = time.monotonic() + POLL_BUDGET_S
        while time.monotonic() < deadline and (event := turn.next_event()) is not None:
            self.handle_event(event)
        self.presenter.show_partial_calls()
        self._update_regularly()
        if finished and not turn.has_events:
            self.finish_turn(turn)

    def _update_regularly(self) -> None:
        now = time.monotonic()
        if now - self._cards_updated > CARD_INTERVAL_S:
            self._cards_updated = now
            self.presenter.refresh_running()
        updated, activity = self._status_updated
        if self.stats.activity != activity or now - updated > STATUS_INTERVAL_S:
            self._status_updated = (now, self.stats.activity)
            self.update_status()

    def handle_event(self, event: TurnEvent) -> None:
        """Show an event of the turn."""
        match event:
            case PendingApproval():
                self.show_approval(event)
                return
            case Heartbeat():
                return
            case AssistantMessage() | ToolCalls() | ToolResult() | SystemMessage():
                self.post_message(TitleChanged())
            case _:
                pass
        self.stats.handle_event(event)
        self.presenter.handle_event(event)

    def finish_turn(self, turn: TurnWorker) -> None:
        """Show how the turn ended, and send the next message of the queue."""
        self.controller.turn = None
        self.prompt.cursor_blink = True
        self.close_approval()
        self.presenter.finish_turn(len(self.controller.conversation.messages))
        self._show_end(turn)
        self.stats.finish()
        if self.stats.elapsed_s >= BELL_AFTER_S:
            self.app.bell()
        if turn.cancelled and self.queue:
            queued = [queued.message.text for queued in self.queue]
            self.prompt.set_text("\n".join([*queued, self.prompt.text]).strip())
            self.queue.clear()
        self.post_message(TitleChanged())
        self.send_next()

    def _show_end(self, turn: TurnWorker) -> None:
        done = self.stats.done
        reason = done.finish_reason if done is not None else None
        if turn.error is not None:
            self.add_notice(str(turn.error), "error", RETRY_HINT)
        elif turn.cancelled and reason in (None, "cancelled"):
            self.add_notice("Cancelled.", hint=RETRY_HINT)
        elif done is not None and (error := error_for(done)):
            self.add_notice(str(error), "error", RETRY_HINT)
        elif reason == "tool_calls":
            self.add_notice("These tools have no function; their calls are the result.")

    def cancel_turn(self) -> bool:
        """Cancel the turn; return whether one was running."""
        if self.controller.turn is None:
            return False
        self.controller.turn.cancel()
        self.stats.activity = "Stopping"
        self.close_approval()
        self.update_status()
        return True

    # Approvals.

    def show_approval(self, pending: PendingApproval) -> None:
        """Show an approval prompt; it takes the focus only if the user is not typing."""
        self._pending = pending
        self.stats.activity = "Waiting for approval"
        self.presenter.set_waiting(pending.request.call, True)
        approval = self.approval = Approval(pending.request)
        self.query_one("#conversation").mount(approval, before="#queue")
        if not self.prompt.text or not self.prompt.has_focus:
            approval.focus()
        else:
            self.notify("A tool call needs your approval. Press Tab to go to it.")
        self.refresh_bindings()
        self.app.bell()

    @on(ApprovalAnswered)
    def answer_approval(self, answered: ApprovalAnswered) -> None:
        """Pass the answer to the turn."""
        if (pending := self._pending) is not None:
            self._pending = None
            self.presenter.set_waiting(pending.request.call, False)
            pending.reply.put(answered.decision)
            self.stats.activity = "Working"
        self.close_approval()

    def close_approval(self) -> None:
        """Remove the approval prompt, if there is one."""
        self._pending = None
        if self.approval is not None:
            self.approval.remove()
            self.approval = None
            self.prompt.focus()
            self.refresh_bindings()

    # What is shown.

    def show_conversation(self) -> None:
        """Show the messages of the session."""
        self.presenter.show(self.controller.conversation.messages)

    def add_notice(self, text: str, style: str = "muted", hint: str = "") -> None:
        """Show a text that is not part of the conversation."""
        self.presenter.add_notice(text, style, hint)

    def show_missing_model(self, text: str) -> None:
        """Show above the conversation why there is no model; an empty text hides it."""
        missing = self.query_one("#missing-model", Static)
        missing.update(safe_text(text))
        missing.display = bool(text)

    def update_status(self) -> None:
        """Update the status bar, and the statistics panel if it is visible."""
        status = StatusSnapshot(
            model=self.controller.model_name,
            remote_host=self.controller.remote_host,
            model_state=self.model_state,
            stats=self.stats,
            queued=len(self.queue),
            downloads=self.controller.downloads.status_text,
            system_stats=self.controller.system_stats,
            device=self.controller.device,
            tools=self.controller.tools.current() if self.panel.display else (),
        )
        self.query_one(StatusBar).show_status(status)
        if self.panel.display:
            self.panel.show_status(status)
