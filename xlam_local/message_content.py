"""Read the content of a message: its text, the calls and results in it, and its reasoning."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .openai_format import dumps
from .tool_definition import json_type

Json = Any
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "tool_plan")
HIDDEN_REASONING = frozenset({"data", "encrypted_content"})
"""Keys of a part of reasoning that only its server can read."""
REASONING_LISTS = ("reasoning_details", "thinking_blocks")
"""Lists with the parts of the reasoning, which most programs write beside its text."""
# Tuples: a type in a file may be any JSON value, and objects are in no set.
TEXT_TYPES = ("text", "input_text", "output_text", None)
"""The types of the parts of a content that are text."""
CALL_TYPES = ("tool_use", "tool-call")
RESULT_TYPES = ("tool_result", "tool-result")
"""The types of the parts that are calls and results: Anthropic's and those of Vercel's AI SDK."""
OUTPUT_TYPES = ("text", "json", "content", "error-text", "error-json")
"""What the AI SDK of Vercel calls the kinds of a result."""
CALL_BLOCK = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
RESULT_BLOCK = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
"""Calls and results in the text of messages, as Hermes writes them."""
RESULT_ID_KEYS = ("tool_call_id", "tool_use_id", "call_id", "toolCallId")
CONTENT_KEYS = ("content", "value", "text", "output", "result")
"""Keys of a message with its content."""


@dataclass(frozen=True, slots=True)
class MessageParts:
    """The content of a message."""

    text: str = ""
    calls: tuple[tuple[Json, str], ...] = ()
    """Parts that are calls, with their JSON pointers."""
    results: tuple[tuple[Json, str], ...] = ()
    """Parts that are results of calls."""


def _content(item: Mapping[str, Json], pointer: str) -> tuple[Json, str]:
    """Return the content of a message, and its JSON pointer."""
    keys = [key for key in CONTENT_KEYS if item.get(key) not in (None, "", [])]
    if len(keys) > 1:
        raise UsageError(f"{pointer} has both {keys[0]!r} and {keys[1]!r}; remove one of them.")
    key = next((key for key in (*keys, *CONTENT_KEYS) if key in item), "content")
    return item.get(key), f"{pointer}/{key}"


def message_parts(item: Mapping[str, Json], pointer: str, place: str = "") -> MessageParts:
    """Return the text, the calls and the results in a message's content."""
    content, found_place = _content(item, pointer)
    place = place or found_place
    if content is None:
        return MessageParts()
    if isinstance(content, str):
        return MessageParts(content)
    if not isinstance(content, list | Mapping):
        raise UsageError(f"{place} is {json_type(content)}, not a string.")
    if isinstance(content, Mapping):
        content = [content]
    texts: list[str] = []
    calls: list[tuple[Json, str]] = []
    results: list[tuple[Json, str]] = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in CALL_TYPES:
            calls.append((part, f"{place}/{number}"))
        elif kind in RESULT_TYPES:
            results.append((part, f"{place}/{number}"))
        else:
            texts.append(_part_text(part, f"{place}/{number}"))
    return MessageParts("".join(texts), tuple(calls), tuple(results))


def parts_of_type(
    item: Mapping[str, Json], pointer: str, kinds: Collection[str]
) -> list[tuple[Mapping[str, Json], str]]:
    """Return the parts of a message's content that have one of these types."""
    content, place = _content(item, pointer)
    return [
        (part, f"{place}/{number}")
        for number, part in enumerate(content if isinstance(content, list) else ())
        if isinstance(part, Mapping) and part.get("type") in kinds
    ]


def _part_text(part: Json, pointer: str) -> str:
    """Return the text of a part of a content."""
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        kind = part.get("type")
        if isinstance(part.get("text"), str) and kind in TEXT_TYPES:
            return str(part["text"])
        if kind in ("thinking", "reasoning"):
            return as_thought(_reasoning_text(part, pointer))
        if kind == "redacted_thinking":
            return ""
        if kind == "refusal" and isinstance(part.get("refusal"), str):
            return str(part["refusal"])
        what = f"type is {kind!r}" if kind else f"keys are {', '.join(map(str, part))}"
        raise UsageError(f"{pointer} is a part that is not text; its {what}.")
    raise UsageError(f"{pointer} is a part that is not text, but {json_type(part)}.")


def _reasoning_text(part: Mapping[str, Json], pointer: str) -> str:
    """Return the text of a part that is reasoning: Anthropic's, Mistral's or Vercel's."""
    key = next((key for key in ("thinking", "text", "summary") if key in part), "thinking")
    texts = part.get(key)
    if isinstance(texts, list):
        return "".join(
            _part_text(text, f"{pointer}/{key}/{number}") for number, text in enumerate(texts)
        )
    if not isinstance(texts, str):
        raise UsageError(f"{pointer}/{key} is {json_type(texts)}, not a string.")
    return texts


def reasoning_item_text(item: Mapping[str, Json], pointer: str) -> str:
    """Return the text of an item of OpenAI's Responses that is reasoning."""
    texts = [
        _part_text({**part, "type": "text"}, f"{pointer}/{key}/{number}")
        for key in ("summary", "content")
        for number, part in enumerate(_list(item, key, pointer))
        if isinstance(part, Mapping)
    ]
    return "\n\n".join(texts)


def _list(item: Mapping[str, Json], key: str, pointer: str) -> list[Json]:
    value = item.get(key)
    if value is not None and not isinstance(value, list):
        raise UsageError(f"{pointer}/{key} is {json_type(value)}, not a list.")
    return value or []


def only_text(item: Mapping[str, Json], pointer: str) -> str:
    """Return the text of a message that has no other content."""
    parts = message_parts(item, pointer)
    for _, place in (*parts.calls, *parts.results):
        raise UsageError(f"{place} is a part that is not text.")
    return parts.text


def with_reasoning(item: Mapping[str, Json], text: str, pointer: str) -> str:
    """Return what the model wrote: its reasoning in think tags, its answer and its refusal."""
    for key in ("refusal", *REASONING_KEYS):
        if not isinstance(item.get(key), str | None):
            raise UsageError(f"{pointer}/{key} is {json_type(item[key])}, not a string.")
    given = {key: item[key] for key in REASONING_KEYS if item.get(key)}
    if len(set(given.values())) > 1:
        first, second, *_ = given
        raise UsageError(f"{pointer} has both {first!r} and {second!r}; remove one of them.")
    thoughts = next(iter(given.values()), "") or _listed_reasoning(item, pointer)
    refusal = item.get("refusal") or ""
    answer = "\n\n".join(filter(None, (text, refusal))) if refusal else text
    return as_thought(thoughts) + answer if thoughts else answer


def _listed_reasoning(item: Mapping[str, Json], pointer: str) -> str:
    """Return the reasoning that a message has in a list of parts only."""
    key = next((key for key in REASONING_LISTS if item.get(key)), "")
    return "".join(
        _reasoning_text(part, f"{pointer}/{key}/{number}")
        for number, part in enumerate(_list(item, key, pointer))
        if isinstance(part, Mapping) and not HIDDEN_REASONING & part.keys()
    )


def as_thought(text: str) -> str:
    """Return reasoning in the tags that models write around it."""
    return f"<think>\n{text.strip()}\n</think>\n\n" if text.strip() else ""


def result_text(item: Mapping[str, Json], pointer: str) -> str:
    """Return the output of a call: a text, the texts of its parts, or its value as JSON."""
    content, _ = _content(item, pointer)
    if output_type(item.get("output")):
        content = item["output"]["value"]
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(map(_is_text_part, content)):
        return "".join(part["text"] for part in content)
    return dumps(content)


def result_blocks(item: Mapping[str, Json], pointer: str) -> list[Mapping[str, Json]]:
    """Return the results in a text that consists of `<tool_response>` blocks; else the item.

    A message with an id holds the result of one call, even if its text looks like blocks.
    """
    content, _ = _content(item, pointer)
    if any(item.get(key) for key in RESULT_ID_KEYS) or not isinstance(content, str):
        return [item]
    if RESULT_BLOCK.sub("", content).strip():
        return [item]
    return [{"content": text} for text in RESULT_BLOCK.findall(content)] or [item]


def output_type(content: Json) -> str:
    """Return how Vercel's AI SDK says what an output is, for example "error-text"; else ""."""
    is_wrapper = isinstance(content, Mapping) and content.keys() == {"type", "value"}
    return content["type"] if is_wrapper and content["type"] in OUTPUT_TYPES else ""


def _is_text_part(part: Json) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("text"), str)
