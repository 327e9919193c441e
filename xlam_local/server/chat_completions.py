"""OpenAI's chat completions: a request to a conversation, and a reply to chunks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..openai_format import dumps
from ..types import Sampling, TextDelta, TokenLogprob, TokenLogprobs, Tool, Usage
from . import fields, logprobs
from .api_error import ApiError
from .fields import Fields, OfferedTools
from .replies import OutputFormat, ReplyRequest, json_output
from .reply_events import ArgumentsDelta, CallStart, ChoiceEvent, ReplyEnd

Json = Any
MAX_TOKENS = ("max_completion_tokens", "max_tokens")
HONORED = frozenset(
    {
        *("model", "messages", "stream", "stream_options", *MAX_TOKENS, "n", "stop", "seed"),
        *("tools", "tool_choice", "parallel_tool_calls", "response_format"),
        *("grammar", "json_schema", "temperature", "top_p", "top_k", "min_p", "repeat_penalty"),
        *("repeat_last_n", "logprobs", "top_logprobs"),
    }
)
NEUTRAL: Mapping[str, Sequence[Json]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({}, []),
    "modalities": (["text"],),
    "functions": ([],),
    "function_call": ("auto", "none"),
}
"""Fields that are not supported, with the values that change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request for chat completions."""

    reply: ReplyRequest
    include_usage: bool = False
    """Whether the last chunk of a stream has the usage."""
    ignored_tools: tuple[str, ...] = ()
    """The types of tools that were left out."""


def read_request(body: Mapping[str, Json], default: Sampling = Sampling()) -> ChatRequest:
    """Return what a request asks for; `default` is the sampling if the request has none.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known(HONORED, NEUTRAL)
    conversation = fields.messages(request.list("messages") or [])
    offered = fields.offered_tools(request.list("tools") or [])
    tools, choice = tool_choice(request, offered)
    stream_options = request.object("stream_options")
    if stream_options:
        stream_options.check_known({"include_usage"}, {"include_obfuscation": (False, True)})
    return ChatRequest(
        reply=ReplyRequest(
            messages=conversation,
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=request.flag("parallel_tool_calls", True),
            sampling=replace(
                fields.sampling(request, MAX_TOKENS, default), logprobs=logprobs.of_chat(request)
            ),
            choices=request.integer("n", 1, fields.MAX_CHOICES) or 1,
            output=output_format(request),
            stream=request.flag("stream"),
        ),
        include_usage=bool(stream_options and stream_options.flag("include_usage")),
        ignored_tools=offered.ignored,
    )


def tool_choice(request: Fields, offered: OfferedTools) -> tuple[tuple[Tool, ...], str]:
    """Return the tools that may be called, and the choice as a turn takes it."""
    choice, tools = request.values.get("tool_choice"), offered.tools
    if isinstance(choice, Mapping):
        inner = choice.get(str(choice.get("type")))
        if choice.get("type") == "allowed_tools":
            return _allowed_tools(request, inner if isinstance(inner, Mapping) else choice, tools)
        if choice.get("type") == "function":
            name = inner.get("name") if isinstance(inner, Mapping) else choice.get("name")
            return tools, fields.choose(request, tools, str(name))
        raise request.error("tool_choice", f"the type {choice.get('type')!r} is not supported")
    if choice is None:
        choice = "auto"
    if choice not in ("auto", "none", "required"):
        raise request.error("tool_choice", f"{choice!r} is not auto, none, required or a function")
    if choice == "required" and not tools:
        raise request.error("tool_choice", "a call is required, but no tool is offered")
    return tools, choice


def _allowed_tools(
    request: Fields, allowed: Mapping[str, Json], tools: tuple[Tool, ...]
) -> tuple[tuple[Tool, ...], str]:
    """Return the allowed ones of the tools, and the mode."""
    mode, listed = allowed.get("mode", "auto"), allowed.get("tools")
    if mode not in ("auto", "required") or not isinstance(listed, list):
        raise request.error("tool_choice", "allowed_tools needs a mode and a list of tools")
    names = set()
    for item in listed:
        entry = item if isinstance(item, Mapping) else {}
        function = entry.get("function")
        name = function.get("name") if isinstance(function, Mapping) else entry.get("name")
        names.add(fields.choose(request, tools, str(name)))
    return tuple(tool for tool in tools if tool.name in names), mode


def output_format(request: Fields) -> OutputFormat | None:
    """Return the format of the answer: `response_format`, or llama-server's fields."""
    found: list[OutputFormat] = []
    if request.values.get("grammar"):
        found.append(fields.grammar_output(request, "grammar"))
    if request.values.get("json_schema") is not None:
        found.append(fields.schema_output(request, "json_schema"))
    if (wanted := request.object("response_format")) and (inner := response_format(wanted)):
        found.append(inner)
    if len(found) > 1:
        raise ApiError(
            "grammar, json_schema and response_format exclude each other.", param="response_format"
        )
    return found[0] if found else None


def response_format(wanted: Fields) -> OutputFormat | None:
    """Return the format that OpenAI's field asks for; None if it is any text."""
    match wanted.text("type"):
        case "text":
            return None
        case "json_object":
            schema = wanted.values.get("schema")  # llama-server's field
            return fields.schema_output(wanted, "schema") if schema else json_output(ANY_OBJECT)
        case "json_schema":
            # OpenAI nests the schema, llama-server takes it beside the type too.
            inner = wanted.object("json_schema") or wanted
            if inner.values.get("schema") is None:
                raise inner.error("schema", "the schema is missing")
            return fields.schema_output(inner, "schema")
        case other:
            raise wanted.error("type", f"{other!r} is not text, json_object or json_schema")


ANY_OBJECT: Mapping[str, Json] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """The fields that all chunks of a reply share."""

    reply_id: str
    model: str
    created: int
    fingerprint: str

    @classmethod
    def new(cls, model: str, created: int, fingerprint: str, prefix: str) -> ReplyHead:
        """Return a head with an id of its own, which begins with `prefix`."""
        return cls(f"{prefix}-{secrets.token_hex(12)}", model, created, fingerprint)

    def to_json(self, kind: str) -> dict[str, Json]:
        """Return the fields of an object of a kind."""
        return {
            "id": self.reply_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def usage_json(usage: Usage) -> dict[str, Json]:
    """Return the usage in OpenAI's form."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.reply_tokens,
        "total_tokens": usage.prompt_tokens + usage.reply_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def total_usage(ends: Sequence[ReplyEnd]) -> Usage:
    """Return the usage of all replies; the prompt that they share counts once."""
    total = sum((end.usage for end in ends), Usage())
    first = ends[0].usage if ends else Usage()
    return Usage(
        prompt_tokens=first.prompt_tokens,
        cached_tokens=first.cached_tokens,
        reply_tokens=total.reply_tokens,
    )


def completion(head: ReplyHead, ends: Sequence[ReplyEnd]) -> dict[str, Json]:
    """Return the response with all replies."""
    return {
        **head.to_json("chat.completion"),
        "choices": [
            {
                "index": index,
                "message": _message(end),
                "logprobs": logprobs.chat_logprobs(end.logprobs),
                "finish_reason": end.finish_reason,
            }
            for index, end in enumerate(ends)
        ],
        "usage": usage_json(total_usage(ends)),
    }


def _message(end: ReplyEnd) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": end.text.strip() or None}
    if not end.calls:
        return message | {"content": end.text.strip(), "refusal": None}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": dumps(call.arguments)},
        }
        for call in end.calls
    ]
    return message | {"refusal": None, "tool_calls": calls}


class ChatChunks:
    """Writes the chunks of a stream.

    The shape is the one that no known client misreads: the role first and once, an index, an id
    and the name at the start of each call, and the usage in a chunk of its own if it is asked for.
    """

    def __init__(self, head: ReplyHead, choices: int, include_usage: bool) -> None:
        self._head = head
        self._choices = choices
        self._include_usage = include_usage
        self._ends: list[ReplyEnd] = []

    def start(self) -> Iterator[dict[str, Json]]:
        """Yield the first chunk of each reply."""
        for choice in range(self._choices):
            yield self._chunk(choice, {"role": "assistant", "content": None})

    def feed(self, item: ChoiceEvent) -> Iterator[dict[str, Json]]:
        """Yield the chunk of an event."""
        match item.event:
            case TextDelta(text, tokens):
                yield self._chunk(item.choice, {"content": text}, tokens=tokens)
            case TokenLogprobs(tokens):
                yield self._chunk(item.choice, {}, tokens=tokens)
            case CallStart(index, call_id, name):
                function = {"name": name, "arguments": ""}
                call = {"index": index, "id": call_id, "type": "function", "function": function}
                yield self._chunk(item.choice, {"tool_calls": [call]})
            case ArgumentsDelta(index, text):
                call = {"index": index, "function": {"arguments": text}}
                yield self._chunk(item.choice, {"tool_calls": [call]})
            case ReplyEnd(reason):
                self._ends.append(item.event)
                yield self._chunk(item.choice, {}, reason)

    def finish(self) -> Iterator[dict[str, Json]]:
        """Yield the last chunks; replies that were not finished end with "length"."""
        for choice in range(len(self._ends), self._choices):
            yield self._chunk(choice, {}, "length")
        if self._include_usage:
            usage = usage_json(total_usage(self._ends))
            yield self._head.to_json("chat.completion.chunk") | {"choices": [], "usage": usage}

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Json],
        reason: str | None = None,
        tokens: Sequence[TokenLogprob] = (),
    ) -> dict[str, Json]:
        chunk = {
            "index": choice,
            "delta": delta,
            "logprobs": logprobs.chat_logprobs(tokens),
            "finish_reason": reason,
        }
        return self._head.to_json("chat.completion.chunk") | {"choices": [chunk]}
