"""Generate replies for an evaluation, with the prompts of the original handlers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

from .. import openai_format, prompt
from ..agent.engine import Engine
from ..agent.reply_parser import ReplyParser
from ..errors import Cancelled, InvalidReply
from ..grammar import CallDetector, compile_tools, ends_in_reasoning
from ..types import (
    AssistantMessage,
    GenerationEnd,
    Message,
    Prompt,
    Sampling,
    SystemMessage,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    Usage,
    UserMessage,
)

Json = Mapping[str, Any]

RESERVED_TOKENS = 2
"""What the original handler leaves free in the context window."""


@dataclass(frozen=True, slots=True)
class EvalRequest:
    """A conversation to which a model replies."""

    messages: Sequence[Json]
    """Messages with role and content; the content of a result is text."""
    functions: Sequence[Json]
    """The definitions that the prompt lists, as they are written."""
    allowed: Sequence[Json]
    """The definitions that may be called."""


@dataclass(frozen=True, slots=True)
class EvaluatedReply:
    """A reply, and what it cost."""

    prompt: str
    text: str
    """What the model wrote."""
    judged: str
    """What the checker reads: the text of an xLAM model without the grammar, else its calls as
    the product reads them."""
    broken: bool
    """Whether the text begins a call, but has none that can be read."""
    truncated: bool
    usage: Usage
    seconds: float


class PromptTooLong(Exception):
    """A prompt does not fit the context window; the message says by how much."""


def listing(functions: Sequence[Json]) -> str:
    """Return the text that lists functions, byte for byte as the original handlers write it."""
    return "".join(json.dumps(function, indent=4) + "\n\n" for function in functions)


def render(request: EvalRequest, engine: Engine) -> Prompt:
    """Return the prompt of a request, as the original handlers write it for xLAM models."""
    tools = openai_format.tools(list(request.allowed))
    messages = list(map(_message, request.messages))
    return prompt.render(messages, tools, engine.prompt_format, listing(request.functions))


def write_reply(
    request: EvalRequest, engine: Engine, grammar: bool, sampling: Sampling, stop: Event
) -> EvaluatedReply:
    """Generate the reply to a request, within the grammar of its tools or freely.

    The original decoder reads free replies of the models for which it was written. Other models
    are told to write calls within tags, which it does not know; the product reads their replies.

    Raises:
        PromptTooLong: the prompt does not fit the context window.
        Cancelled: `stop` was set.
    """
    tools = openai_format.tools(list(request.allowed))
    rendered = render(request, engine)
    (used,) = engine.count([rendered])
    room = engine.context_size - used - RESERVED_TOKENS
    if room <= 0:
        raise PromptTooLong(
            f"The prompt has {used} tokens, and the context window {engine.context_size}."
        )
    sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
    started = time.monotonic()
    compiled = compile_tools(tools)
    offered = compiled.tools if grammar else tools
    in_reasoning = ends_in_reasoning(rendered[-1].text)
    parser = None
    if grammar or not isinstance(engine.prompt_format, prompt.Family):
        schemas = {tool.name: tool.parameters for tool in offered}
        parser = ReplyParser(schemas, in_reasoning, schemas)
    text, end = "", GenerationEnd()
    with closing(engine.generate(rendered, compiled.enforced if grammar else None, sampling)) as it:
        for item in it:
            if stop.is_set():
                raise Cancelled("The evaluation was stopped.")
            if isinstance(item, GenerationEnd):
                end = item
            elif isinstance(item, str):
                text += item
                if parser and _repeats_call(parser, item):
                    final = it.send(True)
                    end = final if isinstance(final, GenerationEnd) else end
                    break
    seconds = time.monotonic() - started
    judged, broken = _read(parser) if parser else (text, _is_broken(text, offered, in_reasoning))
    return EvaluatedReply(
        prompt.text(rendered), text, judged, broken, end.truncated, end.usage, seconds
    )


def _repeats_call(parser: ReplyParser, delta: str) -> bool:
    """Pass text to the parser; return whether it ends with a call that was made before."""
    for _ in parser.feed(delta):
        pass
    return "}" in delta and parser.drop_repeated_call()


def _read(parser: ReplyParser) -> tuple[str, bool]:
    """Return what the checker reads of a reply, and whether its calls are broken."""
    for _ in parser.flush():
        pass
    try:
        reply = parser.reply()
    except InvalidReply:
        return parser.text, True
    return (
        (prompt.calls_json(reply), False) if isinstance(reply, ToolCalls) else (reply.text, False)
    )


def _is_broken(text: str, tools: Sequence[Tool], in_reasoning: bool) -> bool:
    """Return whether a text begins a call; that it can be read is the checker's to say."""
    detector = CallDetector([tool.name for tool in tools], in_reasoning, early=True)
    detector.feed(text)
    return detector.opening is not None


def _message(message: Json) -> Message:
    """Return a message of the leaderboard as one of ours."""
    content = str(message["content"])
    match message["role"]:
        case "system":
            return SystemMessage(content)
        case "assistant":
            return AssistantMessage(content)
        case "tool":
            return ToolResult(ToolCall("", "", {}), content, ok=True)
        case _:
            return UserMessage(content)
