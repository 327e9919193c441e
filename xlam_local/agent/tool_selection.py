"""Tool selection: the tools most like a request, by the words that they share."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from .. import prompt
from ..types import Tool
from .engine import TokenCounter

FIELD_WEIGHTS = {"name": 3.0, "description": 1.0, "parameters": 0.5}
"""What a shared word counts by the field of the tool that has it."""
NAMED_SCORE = 100.0
"""What the tool's full name in the request counts."""
SUFFIXES = ("ing", "ies", "es", "ed", "s", "e", "y")
MIN_STEM_LENGTH = 3


def fit_tools(
    tools: Sequence[Tool], request: str, counter: TokenCounter, share: float
) -> tuple[Tool, ...]:
    """Return the tools that fit `share` of the context, those most like `request` first choice.

    The tools keep their order.
    """
    max_tokens = int(counter.context_size * share)
    # A token has at least one byte, so short texts need not be counted.
    texts = (prompt.tool_text(tool).encode(errors="surrogatepass") for tool in tools)
    if sum(map(len, texts)) <= max_tokens:
        return tuple(tools)
    token_counts = prompt.tool_token_counts(tools, counter.count)
    return select_tools(tools, request, token_counts, max_tokens)


def select_tools(
    tools: Sequence[Tool], request: str, token_counts: Sequence[int], max_tokens: int
) -> tuple[Tool, ...]:
    """Return the tools most like `request` that take at most `max_tokens` tokens together.

    All tools are returned if they fit. A tool that the request names comes first. The tools keep
    their order.
    """
    if sum(token_counts) <= max_tokens:
        return tuple(tools)
    scores = _scores(tools, request)
    ranked = sorted(range(len(tools)), key=lambda number: (-scores[number], number))
    selected, used = set(), 0
    for number in ranked:
        if used + token_counts[number] <= max_tokens:
            selected.add(number)
            used += token_counts[number]
    return tuple(tool for number, tool in enumerate(tools) if number in selected)


def _scores(tools: Sequence[Tool], request: str) -> list[float]:
    """Return how like the request each tool is; rare shared words count most."""
    request_words = set(words(request))
    weights = [_word_weights(tool) for tool in tools]
    tools_with = Counter(word for weighted in weights for word in weighted)
    rarity = {
        word: math.log(1 + len(tools) / tools_with[word])
        for word in request_words
        if word in tools_with
    }
    return [
        sum(rarity[word] * weighted[word] for word in request_words & weighted.keys())
        + (NAMED_SCORE if _is_named(tool.name, request) else 0.0)
        for tool, weighted in zip(tools, weights, strict=True)
    ]


def _is_named(name: str, request: str) -> bool:
    """Return whether a request has the name of a tool as a separate word."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", request, re.IGNORECASE) is not None


def _word_weights(tool: Tool) -> dict[str, float]:
    """Return a tool's words, each with the weight of the best field that has it."""
    properties = tool.parameters.get("properties", {})
    named = properties if isinstance(properties, Mapping) else {}
    described = (p.get("description", "") for p in named.values() if isinstance(p, Mapping))
    # The field with the highest weight comes last, so its weight replaces the others.
    fields = {
        "parameters": " ".join((*map(str, named), *map(str, described))),
        "description": tool.description,
        "name": tool.name,
    }
    return {word: FIELD_WEIGHTS[field] for field, text in fields.items() for word in words(text)}


def words(text: str) -> list[str]:
    """Return the stems of the words of a text or of an identifier."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [_stem(word) for word in re.findall(r"[^\W_]+", separated.lower())]


def _stem(word: str) -> str:
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= MIN_STEM_LENGTH:
            return word[: -len(suffix)]
    return word
