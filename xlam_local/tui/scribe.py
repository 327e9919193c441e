"""From what happens in a turn to entries on the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..types import (
    Answer,
    CallDelta,
    Calls,
    Delta,
    Event,
    Message,
    Note,
    Result,
    System,
    Tool,
    ToolCall,
    User,
)
from . import partial
from .entries import Answered, Card, Cards, Entry, Noted, Said
from .transcript import Transcript


class Scribe:
    """Writes a conversation into the transcript as it goes on."""

    def __init__(self, transcript: Transcript, tool: Callable[[str], Tool | None]) -> None:
        self.transcript = transcript
        self.tool = tool
        """The tool of that name, if it is offered."""
        self.place = 0
        """Which message of the conversation comes next."""
        self._answer: Answered | None = None
        self._cards: Cards | None = None
        self._written: list[str] = []
        """The JSON of the calls that are being written."""
        self._running: list[Card] = []

    def show(self, messages: Sequence[Message]) -> None:
        """Show a conversation from the history."""
        entries: list[Entry] = []
        self._reset()
        self.place = 0
        for message in messages:
            self._finished(message, entries.append)
        self._running = []
        self.transcript.show(entries)

    def take(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case Delta(text):
                self._write_answer(text)
            case CallDelta(text):
                self._written.append(text)
            case Note(text):
                self.note(text)
            case System() | User() | Answer() | Calls() | Result():
                self._finished(event, self.transcript.add)
            case _:
                return
        self.transcript.changed()

    def drawn(self) -> None:
        """Show the calls that are being written, as far as they can be read."""
        if not self._written:
            return
        self._written = ["".join(self._written)]
        cards = self._open_cards()
        for number, call in enumerate(partial.read(self._written[0])):
            if number == len(cards.cards):
                cards.cards.append(Card(call.name))
            card = cards.cards[number]
            card.name, card.tool = call.name, self.tool(call.name)
            card.tick()
            card.write(call.arguments)
        self.transcript.changed()

    def note(self, text: str, kind: str = "muted", key: str = "") -> None:
        """Say something that is no part of the conversation."""
        self.transcript.add(Noted(text, kind, key))

    def tick(self) -> None:
        """Let the seconds of what runs go on."""
        for card in self._running:
            card.tick()
        if self._running:
            self.transcript.changed()

    def waits(self, call: ToolCall, waits: bool) -> None:
        """Whether a call waits for the user's answer."""
        for card in self._running:
            if card.call is not None and card.call.id == call.id:
                card.turn_to("waiting" if waits else "running")
                self.transcript.changed()

    def end(self, place: int) -> None:
        """The turn is over, and the conversation has so many messages."""
        for card in self._running:
            card.turn_to("failed")
        self._reset()
        self.place = place
        self.transcript.changed()

    def _reset(self) -> None:
        if self._cards is not None:
            self._cards.cards = [card for card in self._cards.cards if card.call is not None]
            if not self._cards.cards and self._cards in self.transcript.entries:
                self.transcript.entries.remove(self._cards)
        self._answer, self._cards, self._written, self._running = None, None, [], []

    def _finished(self, message: Message, add: Callable[[Entry], None]) -> None:
        """A message is whole."""
        match message:
            case User(text):
                add(Said(text, self.place))
            case Answer(text):
                if self._answer is None:
                    self._answer = Answered()
                    add(self._answer)
                self._answer.finish(text)
                self._answer.place = self.place
                self._answer = None
            case Calls():
                self._called(message, add)
            case Result():
                self._came(message)
            case System(text):
                if self.place:
                    add(Noted(text))
        self.place += 1

    def _write_answer(self, text: str) -> None:
        if self._answer is None:
            self._answer = Answered()
            self.transcript.add(self._answer)
        self._answer.add(text)

    def _open_cards(self) -> Cards:
        if self._cards is None:
            self._cards = Cards()
            self.transcript.add(self._cards)
        return self._cards

    def _called(self, message: Calls, add: Callable[[Entry], None]) -> None:
        cards = self._cards
        if cards is None:
            cards = Cards()
            add(cards)
        if message.text.strip():
            add(Noted(message.text))
        del cards.cards[len(message.calls) :]
        for number, call in enumerate(message.calls):
            if number == len(cards.cards):
                cards.cards.append(Card(call.name))
            cards.cards[number].set_call(call, self.tool(call.name), self.place)
        self._running = list(cards.cards)
        self._cards, self._written, self._answer = None, [], None

    def _came(self, result: Result) -> None:
        for card in self._running:
            if card.call is not None and card.call.id == result.call.id:
                card.finish(result)
                self._running.remove(card)
                return
