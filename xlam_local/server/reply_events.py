"""The events of a reply, as every wire format writes them: text, calls piece by piece, the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..types import TextDelta, TokenLogprob, TokenLogprobs, ToolCall, Usage


@dataclass(frozen=True, slots=True)
class CallStart:
    """A call begins: its name is known."""

    index: int
    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """A part of the JSON of a call's arguments."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyEnd:
    """The end of a reply, with all of it."""

    finish_reason: Literal["stop", "length", "tool_calls"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    logprobs: tuple[TokenLogprob, ...] = ()
    """The tokens of the text and the calls, if they were asked for."""


ReplyEvent = TextDelta | TokenLogprobs | CallStart | ArgumentsDelta | ReplyEnd
"""TokenLogprobs are the tokens of calls, those of text are in its TextDelta."""


@dataclass(frozen=True, slots=True)
class ChoiceEvent:
    """An event of one of the replies to a request."""

    choice: int
    event: ReplyEvent
