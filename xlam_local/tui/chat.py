"""The screen of the conversation."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Static

from ..errors import XlamError
from ..types import Answer, Calls, Delta, Event, Result, System, Tick, User
from . import completions
from .commands import BY_NAME, COMMANDS
from .completions import Completions, Offer
from .entries import Answered, Card, Entry, Said
from .figures import Figures
from .pen import clean
from .prompt import Pick, Prompt, Submitted, Typed
from .question import Answered as Decided
from .question import Approval
from .scribe import Scribe
from .status import Panel, Status, Told
from .transcript import Chosen, Transcript
from .turn import Asked, Turn

if TYPE_CHECKING:
    from .app import XlamApp

BUDGET = 0.02
"""Seconds of one look at the turn; what has come beyond that waits for the next."""
MOST_TEXT = 5_000
"""Characters of an answer that are taken in at once."""
SMALLEST = (40, 10)
"""Columns and lines that the app needs."""
LONG = 20.0
"""Seconds of a turn whose end is worth a bell."""
SHARE = 0.0075 * (os.cpu_count() or 1)
"""How much of the time the screen's thread may work while the model writes: less than one percent
of the cores, which are the model's too."""
SLOWEST = 0.75
"""The most seconds between two frames."""
TICK = 0.2
"""Seconds between two readings of what a tool has taken."""
TOLD = 1.0
"""Seconds between two readings of the speed, while the model goes on with one thing."""
AGAIN = "(Ctrl+G tries again)"


class ChatScreen(Screen[None]):
    """The conversation, what is asked about it, and the line to type in."""

    app: XlamApp
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Cancel", priority=True, id="app.cancel"),
        Binding("pageup", "page(-1)", "Page up", show=False, priority=True, id="app.pageup"),
        Binding("pagedown", "page(1)", "Page down", show=False, priority=True, id="app.pagedown"),
        Binding("ctrl+end", "end", "Last", show=False, priority=True, id="app.end"),
        Binding("f6", "switch_focus", "Messages", priority=True, id="app.messages"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.figures = Figures()
        self.turn: Turn | None = None
        self.queued: list[str] = []
        """What was said while the model was busy."""
        self.editing: int | None = None
        """The message that what is typed replaces."""
        self._asked: Asked | None = None
        self._backlog: deque[Event | Asked] = deque()
        self._ticked = 0.0
        self._told = (0.0, "")
        """When the status was brought up to date, and what the model did."""
        self._frame = (0.0, 0.0)
        """When the last frame was, by the clock and in time that the thread has worked."""

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        with Horizontal(id="all"):
            with Vertical(id="middle"):
                yield Static(id="welcome", markup=False)
                yield Transcript(id="chat")
                yield Static(id="queued", markup=False)
                yield Completions()
                with Vertical(id="prompt"):
                    folder = clean(str(self.app.desk.folder))
                    yield Prompt(f"Ask something. / for commands, @ for files in {folder}")
                yield Status(id="status", markup=False)
            yield Panel(id="panel")
        yield Footer()
        yield Static(id="small", markup=False)

    def on_mount(self) -> None:
        """Be ready to type in."""
        self.transcript = self.query_one("#chat", Transcript)
        self.prompt = self.query_one("#say", Prompt)
        self.scribe = Scribe(self.transcript, self.app.tool)
        self.prompt.focus()
        self.tell()

    def on_resize(self) -> None:
        """Say where the terminal is too small."""
        width, height = self.app.size
        self.set_class(self.app.too_small, "-small")
        told = f"{width} by {height} is too small; {SMALLEST[0]} by {SMALLEST[1]} will do."
        self.query_one("#small", Static).update(told)
        self.tell()

    # What the user says.

    @on(Submitted)
    def submitted(self, said: Submitted) -> None:
        """Do what was typed: a command of the app, or something for the model."""
        self.query_one(Completions).show("", ())
        self.prompt.completing = False
        name, _, argument = said.text[1:].partition(" ")
        if said.text.startswith("/") and name in BY_NAME and "\n" not in said.text:
            self.app.run_command(name, argument.strip())
        else:
            self.say(said.text)

    def say(self, text: str) -> None:
        """Send something to the model, or let it wait while the model is busy."""
        try:
            whole = completions.with_files(text, self.app.desk.folder)
        except XlamError as error:
            self.prompt.write(text)
            self.note(str(error), "error")
            return
        if self.editing is not None:
            if self.busy():
                self.prompt.write(text)
                return
            self.app.desk.replace(self.editing)
            self.editing = None
            self.show_conversation()
        self.queued.append(whole)
        self.next()

    def next(self) -> None:
        """Send what was said first of what waits, if nothing is going on."""
        if self.queued and self.turn is None and self.app.ready:
            self.start(self.queued.pop(0))
        told = "\n".join(f"waiting: {clean(text).splitlines()[0][:200]}" for text in self.queued)
        queued = self.query_one("#queued", Static)
        queued.update(told)
        queued.display = bool(told)
        self.tell()

    def start(self, text: str) -> None:
        """Begin a turn."""
        desk = self.app.desk
        self._begin(lambda: desk.turn(text))
        self.scribe.take(User(text))

    def _begin(self, work: Callable[[], Generator[Event, None, None]]) -> None:
        self.transcript.following = True
        self.scribe.place = len(self.app.desk.messages)
        self.figures.begin()
        self.prompt.cursor_blink = False  # Each blink draws a line, in time that the model needs.
        self.turn = Turn(self.app.desk, work)
        self.app.watch_jobs()

    # What happens in the turn.

    def poll(self) -> None:
        """Show what has happened since the last look."""
        if self.turn is None:
            return
        ended = self.turn.finished
        if not (ended or self._due()):
            return
        self._backlog.extend(self.turn.take())
        until = time.monotonic() + BUDGET
        while self._backlog and time.monotonic() < until:
            self.happened(self._merged())
        self.scribe.drawn()
        now = time.monotonic()
        if now - self._ticked > TICK:
            self._ticked = now
            self.scribe.tick()
        if self.figures.doing != self._told[1] or now - self._told[0] > TOLD:
            self._told = (now, self.figures.doing)
            self.tell()
        if ended and not self._backlog:
            self.finish()

    def _due(self) -> bool:
        """Whether it is time for another frame: the last one took its share of the time."""
        now, worked = time.monotonic(), time.thread_time()
        then, before = self._frame
        if now - then < min(SLOWEST, (worked - before) / SHARE):
            return False
        self._frame = (now, worked)
        return True

    def _merged(self) -> Event | Asked:
        """The next thing that happened; pieces of an answer that came together are one."""
        first = self._backlog.popleft()
        if not isinstance(first, Delta):
            return first
        texts, size = [first.text], len(first.text)
        while self._backlog and size < MOST_TEXT:
            if not isinstance(more := self._backlog[0], Delta):
                break
            self._backlog.popleft()
            texts.append(more.text)
            size += len(more.text)
        return Delta("".join(texts))

    def happened(self, event: Event | Asked) -> None:
        """Show one thing that happened."""
        if isinstance(event, Asked):
            self.ask(event)
            return
        if isinstance(event, Tick):
            return
        self.figures.take(event)
        if isinstance(event, (Answer, Calls, Result, System)):
            self.app.noticed()
        self.scribe.take(event)

    def finish(self) -> None:
        """Say how the turn ended, and begin the next."""
        turn, self.turn = self.turn, None
        assert turn is not None
        self.prompt.cursor_blink = True
        self.settle_question()
        self.scribe.end(len(self.app.desk.messages))
        self._tell_end(turn)
        self.figures.end()
        if self.figures.seconds >= LONG:
            self.app.bell()
        if turn.cancelled and self.queued:
            self.prompt.write("\n".join([*self.queued, self.prompt.text]).strip())
            self.queued.clear()
        self.app.noticed()
        self.next()

    def _tell_end(self, turn: Turn) -> None:
        from ..session import ending

        done = self.figures.done
        if turn.error is not None:
            self.note(str(turn.error), "error", AGAIN)
        elif turn.cancelled and (done is None or done.reason == "cancelled"):
            self.note("Cancelled.", key=AGAIN)
        elif done is not None and (error := ending(done.reason)):
            self.note(str(error), "error", AGAIN)
        elif done is not None and done.reason == "calls":
            self.note("These tools have no function here: the calls are the result.")

    # What is asked.

    def ask(self, asked: Asked) -> None:
        """Show a question in its place; where the user is typing, it takes no keys from them."""
        self._asked = asked
        self.figures.doing = "Waiting for your answer"
        self.scribe.waits(asked.question.call, True)
        approval = Approval(asked.question)
        self.query_one("#middle").mount(approval, before="#queued")
        if not self.prompt.text or not self.prompt.has_focus:
            approval.focus()
        else:
            self.app.notify("A call waits for your answer; Tab goes to it.")
        self.app.bell()

    @on(Decided)
    def decided(self, answer: Decided) -> None:
        """Give the answer to the turn."""
        if (asked := self._asked) is not None:
            self._asked = None
            self.scribe.waits(asked.question.call, False)
            asked.answer.put(answer.decision)
            self.figures.doing = "Working"
        self.settle_question()

    def settle_question(self) -> None:
        """Take the question away, if there is one."""
        self._asked = None
        if questions := self.query(Approval):
            questions.remove()
            self.prompt.focus()

    # What the keys do.

    def action_escape(self) -> None:
        """Leave the nearest thing: offers, a question, a turn, an edit, the messages."""
        if self.prompt.completing:
            self.pick(Pick())
        elif self.query(Approval):
            self.post_message(Decided(Approval.no()))
        elif self.turn is not None:
            self.cancel()
        elif self.app.cancel_load():
            return
        elif self.editing is not None:
            self.editing = None
            self.prompt.clear()
        elif not self.prompt.has_focus:
            self.transcript.select(None)
            self.prompt.focus()

    def cancel(self) -> bool:
        """Stop the turn; whether one was going on."""
        if self.turn is None:
            return False
        self.turn.cancel()
        self.figures.doing = "Stopping"
        self.settle_question()
        self.tell()
        return True

    def action_page(self, pages: int) -> None:
        """Scroll the conversation, wherever the focus is."""
        lines = max(1, self.transcript.size.height - 2)
        self.transcript.scroll_relative(y=pages * lines, animate=False)

    def action_end(self) -> None:
        """Go to the end of the conversation."""
        self.transcript.action_end()

    def action_switch_focus(self) -> None:
        """Go from the line to the messages, and back."""
        if self.transcript.has_focus:
            self.prompt.focus()
        else:
            self.transcript.focus()
            if self.transcript.selected is None:
                self.transcript.action_select(-1)

    @on(Chosen)
    def chosen(self, chosen: Chosen) -> None:
        """Do something with an entry."""
        CHOICES[chosen.action](self, chosen.entry)

    def copy(self, entry: Entry) -> None:
        """Copy an entry."""
        self.app.copy(entry.text)

    def edit(self, entry: Entry) -> None:
        """Put something that was said back into the line."""
        if not isinstance(entry, Said) or entry.place is None:
            self.app.notify("Only what you said can be edited.")
        elif not self.busy():
            self.editing = entry.place
            self.prompt.write(entry.text)
            self.prompt.focus()
            self.app.notify("Enter sends it in the place of the old one; Escape leaves it.")

    def again(self, entry: Entry | None = None) -> None:
        """Say again what an entry answers to."""
        place = entry.place if entry is not None else None
        said = [n for n, m in enumerate(self.app.desk.messages) if isinstance(m, User)]
        said = [n for n in said if place is None or n <= place]
        if not said or self.busy():
            return
        message = self.app.desk.messages[said[-1]]
        assert isinstance(message, User)
        self.app.desk.rewind(said[-1])
        self.show_conversation()
        self.start(message.text)

    def branch(self, entry: Entry | None = None) -> None:
        """Go on in a copy that ends with an entry."""
        if self.busy():
            return
        place = len(self.app.desk.messages) if entry is None or entry.place is None else entry.place
        self.app.desk.branch(min(place + 1, len(self.app.desk.messages)))
        self.show_conversation()
        self.note("This is a copy; the conversation it was taken from stays in the history.")

    def run_again(self, entry: Entry) -> None:
        """Make a call once more, asked for as any other."""
        call = entry.call if isinstance(entry, Card) else None
        if call is None:
            self.app.notify("Only a call can be run again.")
        elif not self.busy():
            desk = self.app.desk
            self._begin(lambda: desk.repeat(call))

    def busy(self) -> bool:
        """Whether a turn is going on; says so."""
        if self.turn is not None or not self.app.ready:
            self.app.notify("The model is busy; Escape stops it.")
            return True
        return False

    def last_answer(self) -> str | None:
        """The last answer on the screen."""
        found = [entry for entry in self.transcript.entries if isinstance(entry, Answered)]
        return found[-1].text if found else None

    # What completes the line.

    @on(Typed)
    def typed(self, typed: Typed) -> None:
        """Offer what can be meant."""
        word, offers = self._offers(typed)
        self.query_one(Completions).show(word, offers)
        self.prompt.completing = bool(offers)

    def _offers(self, typed: Typed) -> tuple[str, list[Offer]]:
        if typed.text.startswith("/") and "\n" not in typed.text and " " not in typed.before:
            offers = [
                Offer(f"/{one.name}", f"{one.argument} {one.told}".strip())
                for one in COMMANDS
                if f"/{one.name}".startswith(typed.before)
            ]
            exact = [offer.word for offer in offers] == [typed.before]
            return typed.before, [] if exact else offers
        word = completions.attached_word(typed.before)
        if word is None:
            return "", []
        offers = completions.files(word, self.app.desk.folder)
        return word, [] if [offer.word for offer in offers] == [word] else offers

    @on(Pick)
    def pick(self, pick: Pick) -> None:
        """Move among the offers, take one, or put them away."""
        offered = self.query_one(Completions)
        if pick.step:
            offered.move(pick.step)
            return
        self.prompt.completing = False
        chosen = offered.offers[offered.chosen] if pick.take and offered.offers else None
        word = offered.word
        offered.show("", ())
        if chosen is None:
            return
        end = "" if chosen.word.endswith("/") else " "
        self.prompt.complete(word, chosen.word + end)
        command = BY_NAME.get(chosen.word[1:]) if chosen.word.startswith("/") else None
        if command is not None and not command.argument:
            self.prompt.action_submit()

    # What is shown.

    def show_conversation(self) -> None:
        """Show the conversation as the session has it."""
        self.scribe.show(self.app.desk.messages)

    def note(self, text: str, kind: str = "muted", key: str = "") -> None:
        """Say something in the conversation that is no part of it."""
        self.scribe.note(text, kind, key)

    def welcome(self, text: str) -> None:
        """Say what is missing before one can begin; nothing takes that away."""
        missing = self.query_one("#welcome", Static)
        missing.update(clean(text))
        missing.display = bool(text)

    def tell(self) -> None:
        """Bring the status up to date."""
        told = Told(
            model=self.app.model_name,
            state=self.app.state,
            figures=self.figures,
            queued=len(self.queued),
            download=self.app.download_told,
            vitals=self.app.vitals,
            where=self.app.where,
        )
        self.query_one(Status).tell(told)
        panel = self.query_one(Panel)
        if panel.display:
            panel.tell(told)


CHOICES = {
    "copy": ChatScreen.copy,
    "edit": ChatScreen.edit,
    "again": ChatScreen.again,
    "branch": ChatScreen.branch,
    "run": ChatScreen.run_again,
}
