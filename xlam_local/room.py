"""What of a conversation fits the context, and how full that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from . import prompt
from .errors import PromptError
from .types import Message, Meter, Prompt, System, Tool, User


class Counter(Protocol):
    """Knows a model's tokens."""

    @property
    def format(self) -> prompt.Format:
        """How the model's prompts are written."""

    @property
    def size(self) -> int:
        """Tokens of context."""

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """How many tokens each prompt has."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The messages that the model reads, and what they take."""

    messages: Sequence[Message]
    meter: Meter


def fit(
    messages: Sequence[Message], tools: Sequence[Tool], counter: Counter, reserve: int, strict: bool
) -> Fitted:
    """Leave out the oldest turns, whole ones, until `reserve` tokens are free for the reply.

    What stands before the first turn stays, and so does the last turn. Turns are left out in
    steps of a quarter of the context: a prompt whose beginning changes has to be read again.

    Raises:
        PromptError: with `strict`, where not all of it fits.
    """

    def render(part: Sequence[Message], offered: Sequence[Tool]) -> Prompt:
        return prompt.render(part, offered, counter.format)

    head, turns = split(messages)
    bare, equipped, whole = counter.count(
        [render([*head, User("")], ()), render([*head, User("")], tools), render(messages, tools)]
    )
    room = counter.size - min(reserve, counter.size // 4)
    left = 0
    if whole > room:
        if strict:
            raise PromptError(
                f"The conversation has {whole} tokens, and the context of {counter.size} has to "
                f"leave {counter.size - room} for the reply; begin a new one or make it larger."
            )
        alone = counter.count([render([*head, *turn], tools) for turn in turns[:-1]])
        left = _leave([count - equipped for count in alone], whole - room, counter.size // 4)
        messages = [*head, *(message for turn in turns[left:] for message in turn)]
        (whole,) = counter.count([render(messages, tools)])
    free = max(counter.size - whole, 0)
    return Fitted(messages, Meter(bare, equipped - bare, whole - equipped, free, left))


def split(messages: Sequence[Message]) -> tuple[Sequence[Message], list[Sequence[Message]]]:
    """What stands before the first turn, and the turns; each begins with what the user says."""
    starts = [n for n, message in enumerate(messages) if isinstance(message, User)]
    first = starts[0] if starts else len(messages)
    while first and not isinstance(messages[first - 1], System):
        first -= 1
    starts = [first, *starts[1:]] if starts else [first]
    ends = [*starts[1:], len(messages)]
    return messages[:first], [messages[a:b] for a, b in zip(starts, ends, strict=True)]


def _leave(sizes: Sequence[int], over: int, step: int) -> int:
    """How many of the oldest turns to leave out, so that a multiple of `step` tokens goes."""
    wanted = -(-over // step) * step
    gone = 0
    for number, size in enumerate(sizes):
        if gone >= wanted:
            return number
        gone += size
    return len(sizes)
