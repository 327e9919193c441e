"""The app: a conversation in the terminal, with every call in view."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message as Posted
from textual.widget import Widget
from textual.widgets import Footer, Input, Static
from textual.worker import Worker, get_current_worker

from .. import types
from ..errors import XlamError
from ..sanitize import printable
from ..session import Session, ending
from ..types import (
    Answer,
    CallDelta,
    Calls,
    Decision,
    Delta,
    Done,
    Event,
    No,
    Prefill,
    Question,
    Result,
    ToolCall,
)
from .approval import Approval
from .widgets import Answered, Card, Note, Said, Writing


@dataclass
class Happened(Posted):
    """Something happened in a turn."""

    event: Event


@dataclass
class Failed(Posted):
    """The turn, or the loading of the model, ended with an error."""

    error: XlamError


@dataclass
class Loaded(Posted):
    """The model is there."""

    session: Session


class XlamApp(App[None]):
    """A chat with a model that calls tools under the user's eyes."""

    TITLE = "xlam-local"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", priority=True),
        Binding("ctrl+q", "quit", "Quit", priority=True),
    ]

    def __init__(self, open_session: Callable[[], Session], folder: Path) -> None:
        super().__init__()
        self.open_session = open_session
        self.folder = folder
        self.session: Session | None = None
        self.turn: Worker[None] | None = None
        """The turn that is going on, until its thread has said that it ended."""
        self.waiting = ""
        """What the user said before the model was there."""
        self.leaving = False
        """Whether the user wants to leave: nothing is asked any more."""
        self.answer: Answered | None = None
        self.writing: Writing | None = None
        self.cards: dict[str, Card] = {}

    def compose(self) -> ComposeResult:
        """Lay out the conversation, the status and the line to type in."""
        yield VerticalScroll(id="chat")
        yield Static("Loading the model …", id="status", markup=False)
        yield Input(placeholder=f"Ask something; the tools see {self.folder}", id="say")
        yield Footer()

    def on_mount(self) -> None:
        """Load the model behind the screen."""
        self.query_one("#say", Input).focus()
        self.query_one("#chat", VerticalScroll).anchor()
        self.load()

    @work(thread=True)
    def load(self) -> None:
        """Load the model."""
        try:
            self.post_message(Loaded(self.open_session()))
        except XlamError as error:
            self.post_message(Failed(error))

    @on(Loaded)
    def begin(self, message: Loaded) -> None:
        """Take up the model, and what the user said while it was loading."""
        self.session = message.session
        self.session.approve = self.ask
        self.status("Ready")
        if self.waiting:
            self.turn, self.waiting = self.play(self.session, self.waiting), ""

    @on(Input.Submitted)
    async def say(self, submitted: Input.Submitted) -> None:
        """Send what the user typed; while the model is busy it stays in the line."""
        text = submitted.value.strip()
        if not text or self.turn is not None or self.waiting:
            return
        submitted.input.clear()
        await self.show(Said(text))
        if self.session is None:
            self.waiting = text
        else:
            self.turn = self.play(self.session, text)

    @work(thread=True)
    def play(self, session: Session, text: str) -> None:
        """Play a turn outside the screen's thread; leaving it early cancels it."""
        worker = get_current_worker()
        try:
            with closing(session.send(text)) as events:
                for event in events:
                    self.post_message(Happened(event))
                    if worker.is_cancelled and not isinstance(event, Done):
                        self.post_message(Happened(Done("cancelled")))
                        return
        except XlamError as error:
            self.post_message(Failed(error))

    def ask(self, question: Question) -> Decision:
        """Ask the user about a call; called from the turn's thread, which waits."""
        if self.leaving:
            return No()
        decision = self.call_from_thread(self.push_screen_wait, Approval(question))
        return decision if decision is not None else No()

    async def action_quit(self) -> None:
        """Leave; a turn whose thread waits for an answer would keep the program from ending."""
        self.leaving = True
        if isinstance(self.screen, Approval):
            self.screen.action_answer("no")
        if self.turn is not None:
            self.turn.cancel()
        self.call_later(self.exit)

    def action_cancel(self) -> None:
        """Refuse the call that is asked about, or stop the turn."""
        if isinstance(self.screen, Approval):
            self.screen.action_answer("no")
        elif self.turn is not None:
            self.turn.cancel()
            self.status("Stopping …")

    @on(Happened)
    async def happened(self, message: Happened) -> None:
        """Show what happened in the turn."""
        if self.leaving:
            return
        match message.event:
            case Prefill(done, total):
                self.status(f"Reading: {done} of {total} tokens")
            case Delta(text):
                await self.writing_answer(text)
            case CallDelta(text):
                await self.writing_calls(text)
            case Calls() as calls:
                await self.show_cards(calls)
            case types.Note(text):
                await self.show(Note(text))
            case Result(call=call) as result:
                self.cards[call.id].finish(result)
            case Answer(text):
                await self.finish_answer(text)
            case Done() as done:
                await self.finish(done)
            case _:
                pass

    async def writing_answer(self, text: str) -> None:
        """Show the next piece of an answer."""
        if self.answer is None:
            self.answer = Answered()
            await self.show(self.answer)
            self.status("Writing")
        await self.answer.add(text)

    async def finish_answer(self, text: str) -> None:
        """Show the whole answer."""
        if self.answer is None:
            await self.writing_answer("")
        if self.answer is not None:
            await self.answer.finish(text)
        self.answer = None

    async def writing_calls(self, text: str) -> None:
        """Show the next piece of calls."""
        if self.writing is None:
            self.writing = Writing()
            await self.show(self.writing)
            self.status("Calling")
        self.writing.add(text)

    async def show_cards(self, calls: Calls) -> None:
        """Put a card for each call in the place of their JSON."""
        if self.writing is not None:
            await self.writing.remove()
        self.writing = self.answer = None
        for call in calls.calls:
            self.cards[call.id] = Card(call, self.does(call))
            await self.show(self.cards[call.id])

    def does(self, call: ToolCall) -> str:
        """What running a call can do."""
        tools = self.session.tools if self.session else ()
        return next((tool.effect.value for tool in tools if tool.name == call.name), "unknown")

    async def finish(self, done: Done) -> None:
        """Say how the turn ended, and what it took."""
        self.turn = self.answer = self.writing = None
        speed = f"{done.usage.reply_tokens} tokens at {done.usage.decode_speed:.0f} a second"
        self.status(f"Ready · {speed} · {done.usage.prompt_tokens} read")
        if done.reason == "cancelled":
            self.status("Ready")
            await self.show(Note("Cancelled."))
        elif error := ending(done.reason):
            await self.show(Note(str(error), "error"))

    @on(Failed)
    async def failed(self, message: Failed) -> None:
        """Show an error as a line of the conversation."""
        self.turn = self.answer = self.writing = None
        self.status("Ready" if self.session else "No model")
        await self.show(Note(str(message.error), "error"))

    async def show(self, widget: Widget) -> None:
        """Add to the conversation."""
        await self.query_one("#chat", VerticalScroll).mount(widget)

    def status(self, text: str) -> None:
        """Say what is going on, and with which model."""
        name = f"{self.session.engine.name} · " if self.session else ""
        self.query_one("#status", Static).update(printable(name + text))
