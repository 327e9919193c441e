"""Truncation of tool results: the model reads their start and end if they exceed their share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from .. import prompt
from ..types import Message, PromptPart, Tool, ToolResult
from .engine import TokenCounter

HEAD_SHARE = 2 / 3
"""The share of a truncated text that comes from its beginning; the rest is its end."""
CONTEXT_DIVISOR = 4
"""A result takes at most this fraction of the context; the same is left for the reply."""
MIN_RESULT_TOKENS = 48
"""Tokens that a result may always take."""
UNCOUNTED_BYTES = 400
"""A result up to this length is not counted: it has at most one token per byte."""
MAX_CHARS_PER_TOKEN = 16
"""No token is longer, except those for runs of spaces."""
FILE_SIGNATURES: Mapping[bytes, str] = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"\x1f\x8b": "gzip data",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
}

SaveFullResult = Callable[[str, str], str]
"""Save the full result (second argument) of the tool named first; return where it is saved."""


def result_text(value: object) -> str:
    """Return a tool's result as text: text unchanged, bytes decoded or named, all else as JSON."""
    if isinstance(value, str):
        # A lone surrogate cannot be encoded.
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, (bytes, bytearray)):
        return _bytes_text(bytes(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def _bytes_text(data: bytes) -> str:
    try:
        if b"\0" not in data:
            return data.decode()
    except UnicodeDecodeError:
        pass
    kinds = (kind for start, kind in FILE_SIGNATURES.items() if data.startswith(start))
    return f"(Binary data of {len(data):,} bytes: {next(kinds, 'unknown format')}.)"


def truncate_result(
    result: ToolResult,
    before: Sequence[Message],
    tools: Sequence[Tool],
    counter: TokenCounter,
    save: SaveFullResult | None = None,
) -> ToolResult:
    """Return the result, truncated to its share of the context after the messages `before` it.

    A result that is truncated is first saved in full with `save`.
    """
    output = result.output
    uncounted = min(UNCOUNTED_BYTES, counter.context_size // CONTEXT_DIVISOR)
    if len(output) <= uncounted:
        return result
    counted = output[: MAX_CHARS_PER_TOKEN * counter.context_size]
    used, size = counter.count(
        [prompt.render(before, tools, counter.prompt_format), (PromptPart(counted),)]
    )
    share = counter.context_size // CONTEXT_DIVISOR
    budget = max(min(share, counter.context_size - used - share), MIN_RESULT_TOKENS)
    if size <= budget and len(counted) == len(output):
        return result
    saved_to = save(result.call.name, output) if save is not None else ""
    characters = len(counted)
    # The beginning and the end may have more tokens per character than the whole text.
    for _ in range(3):
        characters = characters * budget // max(size, budget)
        truncated = truncate_middle(output, characters, saved_to)
        (size,) = counter.count([(PromptPart(truncated),)])
        if size <= budget + MIN_RESULT_TOKENS:
            break
    return replace(result, output=truncated)


def truncate_middle(text: str, max_chars: int, saved_to: str = "") -> str:
    """Return the beginning and the end of a text, with a note between them.

    At most `max_chars` characters remain, without the note. `saved_to` names the place of the
    full text.
    """
    if len(text) <= max_chars:
        return text
    head = int(max_chars * HEAD_SHARE)
    tail = max_chars - head
    start, end = text[:head], text[len(text) - tail :]
    # Cut at line ends if little is lost.
    if (line := start.rfind("\n")) > head * 0.8:
        start = start[: line + 1]
    if 0 <= (line := end.find("\n")) < tail * 0.2:
        end = end[line + 1 :]
    dropped = len(text) - len(start) - len(end)
    saved = f" The full text is saved for the user in {saved_to}." if saved_to else ""
    return f"{start}\n[{dropped:,} of {len(text):,} characters are omitted here.{saved}]\n{end}"
