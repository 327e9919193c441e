"""Tokens in requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.fakes.fake_engine import Scripted
from tests.fakes.server_client import USER, events, function_json, post, serving
from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local.engine.tokenizer import GgufTokenizer
from xlam_local.server import AccessRules, EngineQueue, ServerState, build_app
from xlam_local.server.api_error import ApiError
from xlam_local.server.tokens import detokenize, prompt_of, tokenize

Json = Any
LONG = "word " * 200
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
HUGE = {
    "type": "object",
    "properties": {f"p{n}": {"type": "number", "multipleOf": n + 200} for n in range(200)},
}


@pytest.fixture(scope="module")
def tokenizer(qwen_path: Path) -> Iterator[GgufTokenizer]:
    made = GgufTokenizer(qwen_path)
    yield made
    made.close()


# Tokenize, detokenize.


def test_a_text_and_its_tokens(tokenizer: GgufTokenizer) -> None:
    tokens = tokenize({"content": "Hello, wörld"}, tokenizer)["tokens"]
    assert detokenize({"tokens": tokens}, tokenizer) == {"content": "Hello, wörld"}
    mixed = tokenize({"content": ["Hello", *tokens, ""]}, tokenizer)["tokens"]
    assert mixed[-len(tokens) :] == tokens


def test_special_tokens_are_read_unless_the_client_says_otherwise(tokenizer: GgufTokenizer) -> None:
    (end,) = tokenize({"content": "<|im_end|>"}, tokenizer)["tokens"]
    assert detokenize({"tokens": [end]}, tokenizer) == {"content": "<|im_end|>"}
    plain = tokenize({"content": "<|im_end|>", "parse_special": False}, tokenizer)["tokens"]
    assert end not in plain


def test_pieces_are_texts_or_the_bytes_of_parts_of_characters(tokenizer: GgufTokenizer) -> None:
    asked = {"content": "hi 🤷", "with_pieces": True}
    pieces = [each["piece"] for each in tokenize(asked, tokenizer)["tokens"]]
    assert pieces[0] == "h"
    data = b"".join(bytes(p) if isinstance(p, list) else p.encode() for p in pieces)
    assert data.decode() == "hi 🤷"
    assert any(isinstance(piece, list) for piece in pieces)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "content"),
        ("/tokenize", {"content": 5}, "content"),
        ("/tokenize", {"content": ["a", True]}, "content"),
        ("/tokenize", {"content": [-1]}, "content"),
        ("/tokenize", {"content": [1 << 40]}, "content"),
        ("/tokenize", {"content": "a", "add_special": "yes"}, "add_special"),
        ("/tokenize", {"content": "a", "more": 1}, "more"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
        ("/detokenize", {"tokens": [1.5]}, "tokens"),
        ("/detokenize", {"tokens": [10**30]}, "tokens"),
    ],
)
def test_invalid_fields_are_named(path: str, body: Json, param: str) -> None:
    assert post(path, body, status=400)["error"]["param"] == param


def test_the_endpoints() -> None:
    with serving() as (client, _):
        tokens = client.post("/tokenize", json={"content": "a b", "add_special": True}).json()
        text = client.post("/detokenize", json=tokens).json()
    assert len(tokens["tokens"]) == 3
    assert text == {"content": "<s>a b"}


# Prompts of token ids.


@pytest.mark.parametrize("token", [-1, 1 << 31, 10**30])
def test_an_unknown_token_is_named(tokenizer: GgufTokenizer, token: int) -> None:
    with pytest.raises(ApiError, match=f"prompt: {token} is not a token id from 0 to"):
        prompt_of([0, token], tokenizer, "prompt")


@pytest.mark.slow
def test_tokens_that_no_text_has_are_refused_in_linear_time(tokenizer: GgufTokenizer) -> None:
    byte = next(t for t in range(tokenizer.size) if tokenizer.token_bytes(t) == b"\xa1")
    with pytest.raises(ApiError, match="no text is read as the tokens"):
        prompt_of([byte] * 200_000, tokenizer, "prompt")


@pytest.mark.parametrize("stream", [False, True])
def test_completions_of_token_ids(stream: bool) -> None:
    with serving(["one"], ["two"], ["three"]) as (client, engine):
        (first, second) = client.post("/tokenize", json={"content": "a b"}).json()["tokens"]
        body = {"prompt": [[first], "c d", [second, first]], "stream": stream}
        response = client.post(COMPLETIONS, json=body)
    assert response.status_code == 200
    assert engine.prompts == ["a ", "c d", "ba "]


def test_one_list_of_token_ids_is_one_prompt() -> None:
    with serving(["one"]) as (client, engine):
        tokens = client.post("/tokenize", json={"content": "a b c"}).json()["tokens"]
        reply = client.post(COMPLETIONS, json={"prompt": tokens, "echo": True}).json()
    assert engine.prompts == ["a b c"]
    assert [choice["text"] for choice in reply["choices"]] == ["a b cone"]


@pytest.mark.parametrize(
    "prompt", [[], [[]], [""], ["a", 1], [[1, "a"]], [[1.5]], [[True]], {"a": 1}, 5, [[[1]]], None]
)
def test_other_prompts_are_refused(prompt: Json) -> None:
    assert post(COMPLETIONS, {"prompt": prompt}, status=400)["error"]["param"] == "prompt"


def test_echo_begins_each_streamed_text_with_its_prompt() -> None:
    with serving(["x"], ["y"]) as (client, _):
        body = {"prompt": ["a", "b"], "echo": True, "stream": True}
        found = events(client.post(COMPLETIONS, json=body).text)
    texts = ["", ""]
    for _, chunk in found[:-1]:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == ["ax", "by"]


# Prompts that do not fit are refused before they wait.


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, {"prompt": LONG}),
        (COMPLETIONS, {"prompt": ["a", LONG]}),
        (COMPLETIONS, {"prompt": [0] * 100}),
        (CHAT, {"messages": [{"role": "user", "content": LONG}]}),
        (CHAT, {"messages": [{"role": "user", "content": LONG}], "stream": True}),
        (CHAT, {"messages": [{"role": "user", "content": LONG}], "json_schema": {}}),
        (CHAT, {"messages": USER, "tools": [function_json(LONG.replace(" ", "_"), a={})] * 1}),
        ("/v1/responses", {"input": LONG}),
        ("/v1/messages", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 5}),
        ("/api/chat", {"messages": [{"role": "user", "content": LONG}]}),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused_at_once(path: str, body: Json) -> None:
    if "tools" in body:
        body = {**body, "messages": [{"role": "user", "content": LONG}]}
    with serving(["x"], context_size=100) as (client, engine):
        response = client.post(path, json=body)
    assert response.status_code == 400, response.text
    assert "context" in response.text
    assert engine.prompts == []


def test_a_prompt_that_fits_is_answered() -> None:
    with serving(["x"], ["y"], context_size=300) as (client, _):
        body = {"messages": [{"role": "user", "content": "word " * 20}]}
        assert client.post(CHAT, json=body).status_code == 200
        assert client.post(COMPLETIONS, json={"prompt": "word " * 20}).status_code == 200


# Schemas that take too long.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": USER, "json_schema": HUGE}),
        (CHAT, {"messages": USER, "tools": [function_json(x=HUGE)]}),
        (COMPLETIONS, {"prompt": "a", "json_schema": HUGE}),
        ("/v1/responses", {"input": "a", "tools": [{**function_json(x=HUGE)["function"]}]}),
        (
            "/v1/messages/count_tokens",
            {"messages": USER, "tools": [{"name": "a", "input_schema": HUGE}]},
        ),
        ("/apply-template", {"messages": USER, "tools": [function_json(x=HUGE)]}),
        ("/api/chat", {"messages": USER, "format": HUGE}),
    ],
)
def test_schemas_that_take_too_long_are_refused(path: str, body: Json) -> None:
    with serving(["x"], compile_timeout_s=0.3) as (client, engine):
        response = client.post(path, json=body)
    assert response.status_code == 400, response.text
    assert "more than 0.3 seconds to compile" in response.text
    assert engine.prompts == []


# Health.


def test_health_tells_details_to_those_who_have_the_token() -> None:
    with serving(rules=AccessRules(token="secret")) as (client, _):
        known = client.get("/health", headers={"authorization": "Bearer secret"}).json()
        wrong = client.get("/health", headers={"authorization": "Bearer wrong"}).json()
    assert wrong == {"status": "ok"}
    assert known["status"] == "ok"
    assert known["model"] == "scripted"
    assert (known["requests_running"], known["requests_waiting"], known["max_queue"]) == (0, 0, 8)


def test_health_is_503_when_the_server_ends() -> None:
    queue = EngineQueue(Scripted(), 1)
    app = build_app(ServerState(queue, WordTokenizer()), AccessRules())
    queue.close()
    response = TestClient(app, base_url="http://127.0.0.1").get("/health")
    assert response.status_code == 503
    assert response.json()["status"] == "shutting down"
