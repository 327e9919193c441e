"""Read the lines of a streamed reply; what is not whole is an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import RemoteError
from .http import error_message

Json = Any


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply."""

    text: str = ""
    finish_reason: str = ""
    """Why the reply ended; empty while it goes on."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    reply_tokens: int | None = None


class OpenAIReply:
    """Reads the chunks of OpenAI's completions: vLLM, SGLang, our own server and others."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._id: object = None
        self.ended = False

    def read(self, data: Json) -> Piece:
        """Return what a chunk says."""
        chunk = _object(data, self._host)
        if self._id not in (None, chunk.get("id")):
            raise _wrong(self._host, "a chunk has the id of another reply")
        self._id = chunk.get("id")
        usage = chunk.get("usage") or {}
        choices = chunk.get("choices") or []
        if not isinstance(choices, list) or not isinstance(usage, dict):
            raise _wrong(self._host, "a chunk has no list of choices")
        text, reason = "", ""
        for choice in choices:
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                raise _wrong(self._host, "a chunk has a choice that was not asked for")
            text += _text(choice.get("text"), self._host)
            reason = _text(choice.get("finish_reason"), self._host) or reason
        if self.ended and text:
            raise _wrong(self._host, "text follows the end of the reply")
        self.ended = self.ended or bool(reason)
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        return Piece(
            text,
            reason,
            _count(usage.get("prompt_tokens")),
            _count(cached),
            _count(usage.get("completion_tokens")),
        )


class LlamaServerReply:
    """Reads the chunks of llama-server's own completions."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.ended = False

    def read(self, data: Json) -> Piece:
        """Return what a chunk says."""
        chunk = _object(data, self._host)
        if self.ended:
            raise _wrong(self._host, "a chunk follows the end of the reply")
        text = _text(chunk.get("content"), self._host)
        if chunk.get("stop") is not True:
            return Piece(text)
        self.ended = True
        if chunk.get("truncated") is True:
            raise _wrong(self._host, "the server has cut the prompt, as its context is too small")
        reason = "length" if chunk.get("stop_type") == "limit" else "stop"
        timings = chunk.get("timings")
        cached = timings.get("cache_n") if isinstance(timings, dict) else None
        return Piece(
            text,
            reason,
            _count(chunk.get("tokens_evaluated")),
            _count(cached),
            _count(chunk.get("tokens_predicted")),
        )


class OllamaReply:
    """Reads the lines of Ollama's raw generation."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.ended = False

    def read(self, data: Json) -> Piece:
        """Return what a line says."""
        chunk = _object(data, self._host)
        if self.ended:
            raise _wrong(self._host, "a line follows the end of the reply")
        text = _text(chunk.get("response"), self._host)
        if chunk.get("done") is not True:
            return Piece(text)
        self.ended = True
        reason = _text(chunk.get("done_reason"), self._host) or "stop"
        return Piece(
            text,
            reason,
            None,  # Ollama counts only the tokens that were not cached.
            None,
            _count(chunk.get("eval_count")),
        )


ReplyReader = OpenAIReply | LlamaServerReply | OllamaReply


def line_data(line: str, host: str, *, events: bool) -> Json | None:
    """Return the JSON of a line: of a server-sent event, or a line of its own; None without any."""
    text = line.strip()
    if events:
        if not text.startswith("data:"):
            return None
        text = text[len("data:") :].strip()
        if text == "[DONE]":
            return None
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(host, "a line is not JSON") from error


def _object(data: Json, host: str) -> Mapping[str, Json]:
    if not isinstance(data, dict):
        raise _wrong(host, "a chunk is not an object")
    if data.get("error"):
        raise RemoteError(f"{host} reported an error: {error_message(data)}.")
    return data


def _text(value: Json, host: str) -> str:
    if value is not None and not isinstance(value, str):
        raise _wrong(host, "a chunk has a text that is not a string")
    return value or ""


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _wrong(host: str, reason: str) -> RemoteError:
    return RemoteError(f"{host} sent an invalid reply: {reason}.")
