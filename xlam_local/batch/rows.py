"""The rows of a batch, and their results as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import UsageError
from ..prompt import tool_json
from ..server.chat_completions import ChatRequest, ReplyHead, completion, read_request
from ..server.reply_events import ReplyEnd
from ..types import Sampling, Tool, ToolCall, Usage

Json = Any
CHAT_URL = "/v1/chat/completions"
LONG_KEYS = frozenset({"custom_id", "method", "url", "body"})
SHORT_KEYS = frozenset({"id", "prompt", "messages", "tools"})
ID_DIGITS = 24
MAX_SEED = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One request of a batch."""

    id: str
    body: Mapping[str, Json]
    """The request as for `/v1/chat/completions`."""

    @property
    def content_hash(self) -> str:
        """A hash of the request."""
        text = json.dumps([self.id, self.body], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]

    @property
    def request_id(self) -> str:
        """The id of the request, which depends on its content."""
        return f"batch_req_{self.content_hash}"

    @property
    def tools_key(self) -> str:
        """Equal for rows with the same tools, whose prompts begin alike."""
        return json.dumps(self.body.get("tools"), sort_keys=True)

    def seed(self, run_seed: int) -> int:
        """Return the seed of this row; it depends on the row's id and not on its place."""
        digest = hashlib.sha256(f"{run_seed}\n{self.id}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:4]) & MAX_SEED

    def request(self, sampling: Sampling) -> ChatRequest:
        """Return what the row asks for.

        Raises:
            ApiError: a field is invalid or not supported.
        """
        read = read_request({"seed": self.seed(sampling.seed), **self.body}, sampling)
        return replace(read, reply=replace(read.reply, stream=False))


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a row has led to."""

    row: BatchRow
    ends: tuple[ReplyEnd, ...] = ()
    model: str = ""
    error: str = ""
    """Why there is no reply; empty if there is one."""
    error_code: str = ""

    @property
    def id(self) -> str:
        """The row's id."""
        return self.row.id

    @property
    def text(self) -> str:
        """The text of the first reply."""
        return self.ends[0].text.strip() if self.ends else ""

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls of the first reply."""
        return self.ends[0].calls if self.ends else ()

    @property
    def usage(self) -> Usage:
        """The tokens of all replies."""
        return sum((end.usage for end in self.ends), Usage())

    def to_json(self) -> dict[str, Json]:
        """Return the result as a line of OpenAI's batch output.

        It has no times and no random ids, so that the same work gives the same line.
        """
        request_id = self.row.request_id
        line: dict[str, Json] = {"id": request_id, "custom_id": self.row.id}
        if self.error:
            error = {"code": self.error_code, "message": self.error}
            return {**line, "response": None, "error": error}
        head = ReplyHead(f"chatcmpl-{self.row.content_hash}", self.model, 0, "")
        body = completion(head, self.ends)
        del body["created"], body["system_fingerprint"], body["usage"]["prompt_tokens_details"]
        response = {"status_code": 200, "request_id": request_id, "body": body}
        return {**line, "response": response, "error": None}


def read_row(line: Json, where: str, tools: Sequence[Tool] = ()) -> BatchRow:
    """Return the row of a line: OpenAI's batch format, or a short one.

    `tools` are for rows without tools of their own; `where` begins error messages.

    Raises:
        UsageError: the line is neither.
    """
    if not isinstance(line, Mapping):
        raise UsageError(f"{where} is not an object.")
    is_long = bool(line.keys() & {"custom_id", "body"})
    allowed = LONG_KEYS if is_long else SHORT_KEYS
    if unknown := sorted(line.keys() - allowed):
        known = ", ".join(sorted(allowed))
        raise UsageError(f"{where} has the unknown key {unknown[0]!r}; the keys are {known}.")
    key = "custom_id" if is_long else "id"
    name = line.get(key)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name:
        raise UsageError(f"{where} has no {key}; it must be a text that no other row has.")
    body = dict(_long_body(line, where) if is_long else _short_body(line, where))
    if tools and not body.get("tools"):
        body["tools"] = [{"type": "function", "function": tool_json(tool)} for tool in tools]
    return BatchRow(name, body)


def _long_body(line: Mapping[str, Json], where: str) -> Mapping[str, Json]:
    if line.get("method", "POST") != "POST" or line.get("url", CHAT_URL) != CHAT_URL:
        raise UsageError(f"{where} is not a POST to {CHAT_URL}; nothing else is supported.")
    body = line.get("body")
    if not isinstance(body, Mapping):
        raise UsageError(f"{where} has no body; it must be an object.")
    return body


def _short_body(line: Mapping[str, Json], where: str) -> Mapping[str, Json]:
    if ("prompt" in line) == ("messages" in line):
        raise UsageError(f"{where} needs either a prompt or messages.")
    prompt = line.get("prompt")
    if "prompt" in line and not (isinstance(prompt, str) and prompt):
        raise UsageError(f"{where}: prompt must be a text that is not empty.")
    messages = line.get("messages") or [{"role": "user", "content": prompt}]
    tools = {"tools": line["tools"]} if "tools" in line else {}
    return {"messages": messages, **tools}
