"""Any JSON value at any place of a request: the answer is an error that names it, not a bug."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from tests.fakes.server_bodies import ALLOWED, CHAT, COMPLETION, MESSAGES, OLLAMA, RESPONSES
from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local.errors import XlamError
from xlam_local.server import chat_completions, completions, messages, ollama, responses, tokens

Json = Any
ODD: tuple[Json, ...] = (
    *(None, True, -1, 1.5, 1e308, 10**30, "", "x\x00", "\ud800", [], {}, [[]], [{}], {"a": []}),
    *({"type": {}}, [None], "auto", {"$ref": "#"}),
)


def read_tokens(body: Mapping[str, Json]) -> Json:
    tokenizer = WordTokenizer()
    return [tokens.tokenize(body, tokenizer), tokens.detokenize(body, tokenizer)]


def read_prompts(body: Mapping[str, Json]) -> Json:
    read = completions.read_request(body)
    return tokens.completion_prompts(read.prompts, WordTokenizer(), 1000)


BODIES: Mapping[str, tuple[Callable[[Mapping[str, Json]], Json], Mapping[str, Json]]] = {
    "chat": (chat_completions.read_request, CHAT),
    "allowed tools": (chat_completions.read_request, {**CHAT, "tool_choice": ALLOWED}),
    "grammar": (chat_completions.read_request, {"messages": CHAT["messages"], "grammar": "x"}),
    "responses": (responses.read_request, RESPONSES),
    "messages": (messages.read_request, MESSAGES),
    "ollama": (ollama.read_request, OLLAMA),
    "completions": (read_prompts, COMPLETION),
    "tokenize": (read_tokens, {"content": ["a", 1], "add_special": True}),
    "detokenize": (read_tokens, {"tokens": [1, 2]}),
}


def variants(value: Json) -> Iterator[Json]:
    """Yield the value with each odd value in each place."""
    yield from ODD
    if isinstance(value, dict):
        for key, inner in value.items():
            for changed in variants(inner):
                yield {**value, key: changed}
            yield {other: each for other, each in value.items() if other != key}
        yield {**value, "unknown": 1}
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            for changed in variants(inner):
                yield [*value[:number], changed, *value[number + 1 :]]
        yield [*value, *value]


@pytest.mark.parametrize("name", BODIES)
def test_no_value_at_any_place_is_a_bug(name: str) -> None:
    read, body = BODIES[name]
    tried = 0
    for changed in variants(body):
        if not isinstance(changed, dict):
            continue
        tried += 1
        print(changed)  # pytest shows it if the next line fails
        with suppress(XlamError):
            read(changed)
    assert tried >= 20
