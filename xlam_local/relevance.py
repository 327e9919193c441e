"""Which tools are the most like a request, by the words they share."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from .types import Tool

WEIGHTS = {"name": 3.0, "description": 1.0, "parameters": 0.5}
ENDINGS = ("ing", "ies", "es", "ed", "s", "e", "y")


def like(tools: Sequence[Tool], request: str, costs: Sequence[int], most: int) -> tuple[Tool, ...]:
    """The tools most like the request whose costs together are at most `most`, in their order.

    All of them, where they cost no more than that. One that is named in the request comes first.
    """
    if sum(costs) <= most:
        return tuple(tools)
    scores = _scores(tools, request)
    ranked = sorted(range(len(tools)), key=lambda number: (-scores[number], number))
    kept, spent = set(), 0
    for number in ranked:
        if spent + costs[number] <= most:
            kept.add(number)
            spent += costs[number]
    return tuple(tool for number, tool in enumerate(tools) if number in kept)


def _scores(tools: Sequence[Tool], request: str) -> list[float]:
    """How like the request each tool is: rare words that both have count most."""
    wanted = set(words(request))
    texts = [_weighted(tool) for tool in tools]
    have = Counter(word for text in texts for word in text)
    rarity = {word: math.log(1 + len(tools) / have[word]) for word in wanted if word in have}
    return [
        sum(rarity[word] * text[word] for word in wanted & text.keys())
        + (100.0 if _named(tool.name, request) else 0.0)
        for tool, text in zip(tools, texts, strict=True)
    ]


def _named(name: str, request: str) -> bool:
    """Whether a request has the name of a tool as a word of its own."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", request, re.IGNORECASE) is not None


def _weighted(tool: Tool) -> dict[str, float]:
    """A tool's words, each with the weight of the best place it stands in."""
    properties = tool.parameters.get("properties", {})
    named = properties if isinstance(properties, Mapping) else {}
    described = (p.get("description", "") for p in named.values() if isinstance(p, Mapping))
    places = {
        "parameters": " ".join((*map(str, named), *map(str, described))),
        "description": tool.description,
        "name": tool.name,
    }
    return {word: WEIGHTS[place] for place, text in places.items() for word in words(text)}


def words(text: str) -> list[str]:
    """The words of a text or a name, without their endings."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [_stem(word) for word in re.findall(r"[^\W_]+", apart.lower())]


def _stem(word: str) -> str:
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
