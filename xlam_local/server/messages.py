"""Anthropic's messages: a request to a conversation, and a reply to events."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..types import Message, Sampling, TextDelta, Tool, Usage
from . import fields
from .api_error import ApiError
from .fields import Fields, OfferedTools
from .replies import ReplyRequest
from .reply_events import ArgumentsDelta, CallStart, ChoiceEvent, ReplyEnd

Json = Any
CONVERSATION = frozenset({"model", "messages", "system", "tools", "tool_choice"})
HONORED = CONVERSATION | {
    *("max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "seed"),
}
HARMLESS = fields.HARMLESS | {"betas", "output_config", "context_management", "cache_control"}
NEUTRAL: Mapping[str, Sequence[Json]] = {
    "thinking": ({"type": "disabled"}, {"type": "adaptive"}),
    "mcp_servers": ([],),
}
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
ERROR_TYPES = {413: "request_too_large", 503: "overloaded_error", 500: "api_error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesRequest:
    """A request for a message."""

    reply: ReplyRequest
    ignored_tools: tuple[str, ...] = ()


def read_request(body: Mapping[str, Json], default: Sampling = Sampling()) -> MessagesRequest:
    """Return what a request asks for; `default` is the sampling if the request has none.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known(HONORED, NEUTRAL, HARMLESS)
    offered = read_tools(request)
    choice, parallel = _tool_choice(request, offered.tools)
    stop = request.stop_strings("stop_sequences")
    renamed = Fields({**body, "stop": list(stop) or None})
    return MessagesRequest(
        reply=ReplyRequest(
            messages=read_messages(request),
            tools=offered.tools,
            tool_choice=choice,
            parallel_tool_calls=parallel,
            sampling=fields.sampling(renamed, ("max_tokens",), default),
            stream=request.flag("stream"),
        ),
        ignored_tools=offered.ignored,
    )


def read_counted(
    body: Mapping[str, Json], _default: Sampling
) -> tuple[tuple[Message, ...], tuple[Tool, ...]]:
    """Return the messages and the tools whose tokens a client wants to know.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known(CONVERSATION, NEUTRAL, HARMLESS)
    return read_messages(request), read_tools(request).tools


def read_messages(request: Fields) -> tuple[Message, ...]:
    """Return the conversation of a request.

    Raises:
        ApiError: a message is invalid.
    """
    system = request.values.get("system")
    return fields.messages(request.list("messages") or [], system=system or None)


def read_tools(request: Fields) -> OfferedTools:
    """Return the tools of a request.

    Raises:
        ApiError: a tool is invalid, or its schema cannot be enforced.
    """
    return fields.offered_tools(request.list("tools") or [], kinds=("custom",))


def _tool_choice(request: Fields, tools: Sequence[Tool]) -> tuple[str, bool]:
    """Return the choice as a turn takes it, and whether several calls are allowed."""
    choice = request.object("tool_choice")
    if choice is None:
        return "auto", True
    kind, parallel = choice.text("type"), not choice.flag("disable_parallel_tool_use")
    if kind == "tool":
        return fields.choose(request, tools, choice.text("name") or ""), parallel
    if kind not in CHOICES:
        raise choice.error("type", f"{kind!r} is not auto, any, none or tool")
    if kind == "any" and not tools:
        raise request.error("tool_choice", "a call is required, but no tool is offered")
    return CHOICES[kind], parallel


def usage_json(usage: Usage) -> dict[str, Json]:
    """Return the usage in Anthropic's form, which counts cached tokens apart."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.reply_tokens,
    }


def message_json(model: str, message_id: str, end: ReplyEnd | None = None) -> dict[str, Json]:
    """Return a message, which is empty as long as the reply has no end."""
    content: list[dict[str, Json]] = []
    if end and end.text.strip():
        content.append({"type": "text", "text": end.text.strip()})
    for call in end.calls if end else ():
        use = {"type": "tool_use", "id": call.id, "name": call.name}
        content.append(use | {"input": dict(call.arguments)})
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": STOP_REASONS[end.finish_reason] if end else None,
        "stop_sequence": None,
        "usage": usage_json(end.usage if end else Usage()),
    }


def new_message_id() -> str:
    """Return an id for a message."""
    return f"msg_{secrets.token_hex(12)}"


@dataclass(slots=True)
class MessageEvents:
    """Writes the events of a message."""

    model: str
    message_id: str = field(default_factory=new_message_id)
    _blocks: int = 0
    """How many blocks have begun."""
    _open: str = ""
    """The type of the block that has not ended."""
    _end: ReplyEnd | None = None

    def start(self) -> Iterator[dict[str, Json]]:
        """Yield the event before the first block."""
        yield {"type": "message_start", "message": message_json(self.model, self.message_id)}

    def feed(self, item: ChoiceEvent) -> Iterator[dict[str, Json]]:
        """Yield the events that a part of the reply becomes."""
        match item.event:
            case TextDelta(text):
                if self._open != "text":
                    yield from self._begin({"type": "text", "text": ""})
                yield self._delta({"type": "text_delta", "text": text})
            case CallStart(_, call_id, name):
                use = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
                yield from self._begin(use)
            case ArgumentsDelta(_, text):
                yield self._delta({"type": "input_json_delta", "partial_json": text})
            case ReplyEnd():
                self._end = item.event

    def finish(self) -> Iterator[dict[str, Json]]:
        """Yield the last events."""
        yield from self._close()
        end = self._end or ReplyEnd("length")
        delta = {"stop_reason": STOP_REASONS[end.finish_reason], "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": usage_json(end.usage)}
        yield {"type": "message_stop"}

    def _begin(self, block: dict[str, Json]) -> Iterator[dict[str, Json]]:
        yield from self._close()
        self._open = block["type"]
        self._blocks += 1
        yield {
            "type": "content_block_start",
            "index": self._blocks - 1,
            "content_block": block,
        }

    def _delta(self, delta: dict[str, Json]) -> dict[str, Json]:
        return {"type": "content_block_delta", "index": self._blocks - 1, "delta": delta}

    def _close(self) -> Iterator[dict[str, Json]]:
        if self._open:
            self._open = ""
            yield {"type": "content_block_stop", "index": self._blocks - 1}


def error_json(error: ApiError) -> dict[str, Json]:
    """Return an error in Anthropic's form."""
    kind = ERROR_TYPES.get(error.status, error.type)
    return {"type": "error", "error": {"type": kind, "message": str(error)}}
