"""Ollama's chat: a request to a conversation, and a reply to lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..types import Sampling, TextDelta, ToolCall
from . import fields
from .api_error import ApiError
from .chat_completions import ANY_OBJECT
from .fields import Fields
from .replies import OutputFormat, ReplyRequest, json_output
from .reply_events import ChoiceEvent, ReplyEnd

Json = Any
HONORED = frozenset({"model", "messages", "tools", "format", "stream", "options"})
NEUTRAL: Mapping[str, Sequence[Json]] = {"think": (False,), "logprobs": (False,)}
OPTIONS = frozenset(
    {
        *("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n", "seed"),
        *("stop", "num_predict"),
    }
)
LOAD_OPTIONS = frozenset(
    {
        *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "use_mmap"),
        *("use_mlock", "low_vram", "numa", "typical_p", "tfs_z", "penalize_newline"),
    }
)
"""Options about loading, which is over, and options that current versions of Ollama ignore."""
NEUTRAL_OPTIONS: Mapping[str, Sequence[Json]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "mirostat": (0,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaRequest:
    """A request for a chat message."""

    reply: ReplyRequest
    ignored_tools: tuple[str, ...] = ()


def read_request(body: Mapping[str, Json], default: Sampling = Sampling()) -> OllamaRequest:
    """Return what a request asks for; `default` is the sampling if the request has none.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known(HONORED, NEUTRAL)
    options = request.object("options") or Fields({}, "options")
    options.check_known(OPTIONS, NEUTRAL_OPTIONS, LOAD_OPTIONS)
    offered = fields.offered_tools(request.list("tools") or [])
    return OllamaRequest(
        reply=ReplyRequest(
            messages=fields.messages(request.list("messages") or []),
            tools=offered.tools,
            sampling=fields.sampling(_without_negatives(options), ("num_predict",), default),
            output=_output(request),
            stream=request.flag("stream", True),
        ),
        ignored_tools=offered.ignored,
    )


def _without_negatives(options: Fields) -> Fields:
    """Return the options without a limit below 0, which means none."""
    limit = options.values.get("num_predict")
    unlimited = isinstance(limit, int) and limit < 0
    values = {**options.values, "num_predict": None} if unlimited else options.values
    return Fields(values, options.path)


def _output(request: Fields) -> OutputFormat | None:
    wanted = request.values.get("format")
    if not wanted:
        return None
    return json_output(ANY_OBJECT) if wanted == "json" else fields.schema_output(request, "format")


def now() -> str:
    """Return the time in Ollama's form."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def calls_json(calls: Sequence[ToolCall]) -> list[dict[str, Json]]:
    """Return calls in Ollama's form."""
    return [
        {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}}
        for call in calls
    ]


@dataclass(slots=True)
class OllamaLines:
    """Writes the lines of a stream. Ollama's format has whole calls only."""

    model: str
    _end: ReplyEnd = field(default_factory=lambda: ReplyEnd("length"))

    def start(self) -> Iterator[dict[str, Json]]:
        """Yield nothing: the format has no beginning."""
        yield from ()

    def feed(self, item: ChoiceEvent) -> Iterator[dict[str, Json]]:
        """Yield the line of an event."""
        match item.event:
            case TextDelta(text):
                yield self._line({"role": "assistant", "content": text})
            case ReplyEnd(calls=calls):
                self._end = item.event
                if calls:
                    message = {"role": "assistant", "content": ""}
                    yield self._line(message | {"tool_calls": calls_json(calls)})

    def finish(self) -> Iterator[dict[str, Json]]:
        """Yield the last line."""
        yield self._line({"role": "assistant", "content": ""}) | end_json(self._end)

    def _line(self, message: dict[str, Json]) -> dict[str, Json]:
        return {"model": self.model, "created_at": now(), "message": message, "done": False}


def end_json(end: ReplyEnd) -> dict[str, Json]:
    """Return the fields of a complete reply; times are in nanoseconds."""
    usage = end.usage
    prefill, decode = round(usage.prefill_seconds * 1e9), round(usage.decode_seconds * 1e9)
    return {
        "done": True,
        "done_reason": "length" if end.finish_reason == "length" else "stop",
        "total_duration": prefill + decode,
        "load_duration": 0,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": prefill,
        "eval_count": usage.reply_tokens,
        "eval_duration": decode,
    }


def chat_json(model: str, end: ReplyEnd) -> dict[str, Json]:
    """Return the whole reply."""
    message: dict[str, Json] = {"role": "assistant", "content": end.text.strip()}
    if end.calls:
        message["tool_calls"] = calls_json(end.calls)
    return {"model": model, "created_at": now(), "message": message} | end_json(end)


def error_json(error: ApiError) -> dict[str, Json]:
    """Return an error in Ollama's form."""
    return {"error": str(error)}
