"""OpenAI's responses: a request to a conversation, and a reply to events. Nothing is stored."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..types import Sampling, TextDelta, Usage
from . import fields, logprobs
from .chat_completions import response_format, tool_choice
from .fields import Fields
from .replies import ReplyRequest
from .reply_events import ArgumentsDelta, CallStart, ChoiceEvent, ReplyEnd

Json = Any
HONORED = frozenset(
    {
        *("model", "input", "instructions", "stream", "max_output_tokens", "text", "seed", "stop"),
        *("tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "top_k", "min_p"),
        *("repeat_penalty", "repeat_last_n", "include", "top_logprobs"),
    }
)
HARMLESS = fields.HARMLESS | {"reasoning", "stream_options"}
NEUTRAL: Mapping[str, Sequence[Json]] = {
    "truncation": ("disabled",),
    "background": (False,),
}
"""Fields that are not supported, with the values that change nothing."""
ECHOED = ("instructions", "tools", "tool_choice", "max_output_tokens", "metadata", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesRequest:
    """A request for a response."""

    reply: ReplyRequest
    echo: Mapping[str, Json]
    """Fields of the request that the response repeats."""
    ignored_tools: tuple[str, ...] = ()


def read_request(body: Mapping[str, Json], default: Sampling = Sampling()) -> ResponsesRequest:
    """Return what a request asks for; `default` is the sampling if the request has none.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known(HONORED, NEUTRAL, HARMLESS)
    offered = fields.offered_tools(request.list("tools") or [])
    tools, choice = tool_choice(request, offered)
    text = request.object("text")
    wanted = text.object("format") if text else None
    return ResponsesRequest(
        reply=ReplyRequest(
            messages=fields.messages(_items(request), "input", system=request.text("instructions")),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=request.flag("parallel_tool_calls", True),
            sampling=replace(
                fields.sampling(request, ("max_output_tokens",), default),
                logprobs=logprobs.of_response(request),
            ),
            output=response_format(wanted) if wanted else None,
            stream=request.flag("stream"),
        ),
        echo={name: body[name] for name in ECHOED if body.get(name) is not None},
        ignored_tools=offered.ignored,
    )


def _items(request: Fields) -> Sequence[Json]:
    """Return the items of the input; reasoning of other models is left out."""
    given = request.values.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    items = request.list("input") or []
    for number, item in enumerate(items):
        if isinstance(item, Mapping) and item.get("type") == "item_reference":
            raise request.error("input", f"item {number} refers to an item, but none is stored")
    return [
        item
        for item in items
        if not (isinstance(item, Mapping) and item.get("type") == "reasoning")
    ]


def usage_json(usage: Usage) -> dict[str, Json]:
    """Return the usage in the form of responses."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.reply_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.reply_tokens,
    }


def new_id(prefix: str) -> str:
    """Return an id for a response or one of its items."""
    return f"{prefix}_{secrets.token_hex(16)}"


@dataclass(slots=True)
class ResponseEvents:
    """Writes the events of a response; the last one has all of it."""

    model: str
    created: int
    request: ResponsesRequest
    response_id: str = field(default_factory=lambda: new_id("resp"))
    output: list[dict[str, Json]] = field(default_factory=list)
    """The items so far; the last one may be incomplete."""
    _open: bool = False
    """Whether the last item is incomplete."""
    _number: int = 0
    _end: ReplyEnd | None = None

    def start(self) -> Iterator[dict[str, Json]]:
        """Yield the events before the first item."""
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self.response("in_progress"))

    def feed(self, item: ChoiceEvent) -> Iterator[dict[str, Json]]:
        """Yield the events that a part of the reply becomes."""
        match item.event:
            case TextDelta(text, tokens):
                yield from self._text(text, logprobs.tokens_json(tokens))
            case CallStart(_, call_id, name):
                yield from self._close_item()
                call = {"type": "function_call", "id": new_id("fc"), "call_id": call_id}
                yield from self._open_item(call | {"name": name, "arguments": ""})
            case ArgumentsDelta(_, text):
                self.output[-1]["arguments"] += text
                yield self._item_event("response.function_call_arguments.delta", delta=text)
            case ReplyEnd():
                self._end = item.event
                yield from self._close_item()

    def finish(self) -> Iterator[dict[str, Json]]:
        """Yield the last event."""
        yield from self._close_item()
        complete = self._end is not None and self._end.finish_reason != "length"
        status = "completed" if complete else "incomplete"
        yield self._event(f"response.{status}", response=self.response(status))

    def response(self, status: str) -> dict[str, Json]:
        """Return the response as it is now."""
        sampling = self.request.reply.sampling
        incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": incomplete,
            "instructions": None,
            "max_output_tokens": None,
            "metadata": {},
            "model": self.model,
            "output": [dict(item) for item in self.output],
            "parallel_tool_calls": self.request.reply.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": sampling.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": sampling.logprobs or 0,
            "top_p": sampling.top_p,
            "truncation": "disabled",
            "usage": usage_json(self._end.usage) if self._end else None,
            "user": None,
            **self.request.echo,
        }

    def _text(self, text: str, tokens: list[Json]) -> Iterator[dict[str, Json]]:
        if not (self._open and self.output[-1]["type"] == "message"):
            yield from self._close_item()
            message = {"type": "message", "id": new_id("msg"), "role": "assistant"}
            yield from self._open_item(message | {"content": []})
            part = _text_part("")
            yield self._item_event("response.content_part.added", content_index=0, part=part)
            self.output[-1]["content"] = [_text_part("")]
        self.output[-1]["content"][0]["text"] += text
        self.output[-1]["content"][0]["logprobs"] += tokens
        yield self._item_event(
            "response.output_text.delta", content_index=0, delta=text, logprobs=tokens
        )

    def _open_item(self, item: dict[str, Json]) -> Iterator[dict[str, Json]]:
        self.output.append(item | {"status": "in_progress"})
        self._open = True
        yield self._event(
            "response.output_item.added",
            output_index=len(self.output) - 1,
            item={**self.output[-1]},
        )

    def _close_item(self) -> Iterator[dict[str, Json]]:
        """Yield the events that end the open item."""
        if not self._open:
            return
        self._open, item = False, self.output[-1]
        item["status"] = "completed"
        if item["type"] == "message":
            (part,) = item["content"]
            yield self._item_event(
                "response.output_text.done",
                content_index=0,
                text=part["text"],
                logprobs=part["logprobs"],
            )
            yield self._item_event("response.content_part.done", content_index=0, part=part)
        else:
            yield self._item_event(
                "response.function_call_arguments.done",
                arguments=item["arguments"],
                name=item["name"],
            )
        yield self._event(
            "response.output_item.done", output_index=len(self.output) - 1, item=dict(item)
        )

    def _item_event(self, kind: str, **values: Json) -> dict[str, Json]:
        """Return an event about the last item."""
        index, item = len(self.output) - 1, self.output[-1]
        return self._event(kind, output_index=index, item_id=item["id"], **values)

    def _event(self, kind: str, **values: Json) -> dict[str, Json]:
        self._number += 1
        return {"type": kind, "sequence_number": self._number - 1, **values}


def _text_part(text: str) -> dict[str, Json]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def complete_response(events: ResponseEvents, items: Sequence[ChoiceEvent]) -> dict[str, Json]:
    """Return the response for the events of a reply that is not streamed."""
    written = [*events.start()]
    for item in items:
        written += events.feed(item)
    written += events.finish()
    response: dict[str, Json] = written[-1]["response"]
    return response
