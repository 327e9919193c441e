"""Which replies of a conversation a model should learn, and why others are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...openai_format import dumps
from ...prompt import LLAMA, QWEN, Family, tool_json
from ...types import AssistantMessage, Message, Tool, ToolCalls, ToolResult
from ..replies import SavedReply
from ..store import History
from ..types import Summary

SPECIAL_TOKEN = re.compile(r"<\|\w[\w-]*\|>")
"""Trainers read special tokens in any text, the engine does not."""
SPECIAL_TOKENS = "a text contains a special token, such as <|im_end|>"
UNKNOWN_TOOLS = "the tools that were offered are unknown"
FAILED_CALL = "a call failed, was refused, or did not run"
RATED_DOWN, NOT_RATED = "rated down", "not rated up"
MISSING_RESULT = "a call has no result"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported."""

    family: Family | None = None
    """The base model whose prompts are written; None is the one that wrote the reply."""
    rated: bool = False
    """Whether only replies with a thumbs up are learned."""


@dataclass(frozen=True, slots=True)
class TrainingConversation:
    """A conversation with what the history knows of its replies."""

    summary: Summary
    messages: Sequence[Message]
    replies: Mapping[int, SavedReply] = field(default_factory=dict)
    ratings: Mapping[int, int] = field(default_factory=dict)

    @property
    def model_places(self) -> list[int]:
        """The indexes of the messages of the model."""
        kinds = AssistantMessage | ToolCalls
        return [place for place, message in enumerate(self.messages) if isinstance(message, kinds)]

    def reason_to_skip(self, place: int, selection: Selection) -> str:
        """Return why a message of the model is not learned; "" if it is."""
        rating = self.ratings.get(place, 0)
        if rating < 0:
            return RATED_DOWN
        if selection.rated and rating <= 0:
            return NOT_RATED
        if place not in self.replies:
            return UNKNOWN_TOOLS
        message = self.messages[place]
        if isinstance(message, ToolCalls):
            results = self.results_of(place)
            if len(results) < len(message.calls):
                return MISSING_RESULT
            if not all(result.ok and not result.skipped for result in results):
                return FAILED_CALL
        return ""

    def results_of(self, place: int) -> list[ToolResult]:
        """Return the results that follow the calls of a message, in their order."""
        found: list[ToolResult] = []
        for message in self.messages[place + 1 :]:
            if not isinstance(message, ToolResult):
                break
            found.append(message)
        return found


def saved_conversation(history: History, number: int) -> TrainingConversation:
    """Return a conversation of the history."""
    return TrainingConversation(
        history.get(number),
        history.messages(number),
        history.replies(number),
        history.ratings(number),
    )


def has_special_token(messages: Sequence[Message], tools: Sequence[Tool]) -> bool:
    """Return whether a text in a prompt would be read as a special token by a trainer."""
    texts = [*map(message_text, messages), *(dumps(tool_json(tool)) for tool in tools)]
    return any(map(SPECIAL_TOKEN.search, texts))


def message_text(message: Message) -> str:
    """Return all text of a message, with that of its calls."""
    match message:
        case ToolCalls(calls, text):
            return "\n".join([text, *(f"{call.name} {dumps(call.arguments)}" for call in calls)])
        case ToolResult(_, output):
            return output
        case _:
            return message.text


def main_family(conversations: Sequence[TrainingConversation]) -> Family:
    """Return the base model in whose format most replies were written."""
    formats = [reply.prompt_format for one in conversations for reply in one.replies.values()]
    return LLAMA if 2 * formats.count(LLAMA) > len(formats) else QWEN


def family_of(reply: SavedReply, selection: Selection) -> Family:
    """Return the base model in whose format a conversation is written."""
    if selection.family is not None:
        return selection.family
    return LLAMA if reply.prompt_format == LLAMA else QWEN
