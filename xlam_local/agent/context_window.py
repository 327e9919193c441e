"""Fit a conversation into the context window by dropping its oldest turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import prompt
from ..errors import ContextExceeded
from ..types import ContextUsage, Message, Prompt, SystemMessage, Tool, UserMessage
from .engine import TokenCounter


@dataclass(frozen=True, slots=True)
class FittedConversation:
    """The messages that the model reads, and the tokens that they take."""

    messages: Sequence[Message]
    usage: ContextUsage


def fit_to_context(
    messages: Sequence[Message],
    tools: Sequence[Tool],
    counter: TokenCounter,
    reply_tokens: int,
    strict: bool,
) -> FittedConversation:
    """Drop the oldest turns until `reply_tokens` tokens are free for the reply.

    The messages before the first turn and the last turn always stay. Turns are dropped in steps
    of a quarter of the context, because a prompt whose beginning changes is read again in full.

    Raises:
        ContextExceeded: `strict` is set and the conversation does not fit.
    """

    def render(part: Sequence[Message], offered: Sequence[Tool]) -> Prompt:
        return prompt.render(part, offered, counter.prompt_format)

    size = counter.context_size
    head, turns = split_turns(messages)
    system, with_tools, total = counter.count(
        [
            render([*head, UserMessage("")], ()),
            render([*head, UserMessage("")], tools),
            render(messages, tools),
        ]
    )
    available = size - min(reply_tokens, size // 4)
    dropped = 0
    if total > available:
        if strict:
            raise ContextExceeded(
                f"The conversation has {total} tokens, but a context of {size} tokens holds only "
                f"{available}, as the reply needs {size - available}. Begin a new conversation or "
                "raise the context size."
            )
        counts = counter.count([render([*head, *turn], tools) for turn in turns[:-1]])
        turn_tokens = [count - with_tools for count in counts]
        dropped = _turns_to_drop(turn_tokens, total - available, size // 4)
        messages = [*head, *(message for turn in turns[dropped:] for message in turn)]
        (total,) = counter.count([render(messages, tools)])
    return FittedConversation(
        messages,
        ContextUsage(
            system=system,
            tools=with_tools - system,
            history=total - with_tools,
            free=max(size - total, 0),
            dropped_turns=dropped,
        ),
    )


def split_turns(messages: Sequence[Message]) -> tuple[Sequence[Message], list[Sequence[Message]]]:
    """Return the messages before the first turn, and the turns; each begins with a user message."""
    starts = [n for n, message in enumerate(messages) if isinstance(message, UserMessage)]
    first = starts[0] if starts else len(messages)
    while first and not isinstance(messages[first - 1], SystemMessage):
        first -= 1
    starts = [first, *starts[1:]] if starts else [first]
    ends = [*starts[1:], len(messages)]
    return messages[:first], [messages[a:b] for a, b in zip(starts, ends, strict=True)]


def _turns_to_drop(turn_tokens: Sequence[int], excess: int, step: int) -> int:
    """Return how many of the oldest turns hold `excess` tokens, rounded up to `step`."""
    needed = -(-excess // step) * step
    freed = 0
    for number, tokens in enumerate(turn_tokens):
        if freed >= needed:
            return number
        freed += tokens
    return len(turn_tokens)
