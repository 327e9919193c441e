"""Log probabilities in the wire formats. The model is scripted; the engine has tests of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.server_client import USER, Script, events, function_json, post, serving, stream
from xlam_local.types import TokenLogprob, TokenLogprobs

Json = Any
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
HALF = (TokenLogprob(b" half", -2.5), TokenLogprob(b"\xc3", -3.0))
FIVE = TokenLogprob("fü".encode()[:2], -0.5, HALF)
NEXT = TokenLogprob("ü".encode()[1:], -0.25)
TEXT: Script = [
    TokenLogprobs((FIVE, NEXT)),
    "fü",
    TokenLogprobs((TokenLogprob(b"nf", -1.0),)),
    "nf",
]
TOKENS_JSON = [
    {
        "token": "f�",
        "logprob": -0.5,
        "bytes": [102, 195],
        "top_logprobs": [
            {"token": " half", "logprob": -2.5, "bytes": list(b" half")},
            {"token": "�", "logprob": -3.0, "bytes": [195]},
        ],
    },
    {"token": "�", "logprob": -0.25, "bytes": [188], "top_logprobs": []},
    {"token": "nf", "logprob": -1.0, "bytes": [110, 102], "top_logprobs": []},
]
ASKED = {"messages": USER, "logprobs": True, "top_logprobs": 2}
ADD = function_json()


def calls(text: str) -> Script:
    """Return a script of calls, of which each piece has a token."""
    pieces = [text[start : start + 9] for start in range(0, len(text), 9)]
    return [
        item
        for piece in pieces
        for item in (TokenLogprobs((TokenLogprob(piece.encode(), -0.5),)), piece)
    ]


VALID = '[{"name": "add", "arguments": {"a": 2, "b": 3}}]'
INVALID = '[{"name": "add", "arguments": {"a": "2", "b": 3}}]'


def joined(tokens: list[Json]) -> str:
    return "".join(token["token"] for token in tokens)


def test_the_model_is_asked_for_as_many_alternatives_as_the_client_wants() -> None:
    with serving(TEXT, TEXT, TEXT, TEXT) as (client, engine):
        client.post(CHAT, json=ASKED)
        client.post(CHAT, json={"messages": USER, "logprobs": True})
        client.post(COMPLETIONS, json={"prompt": "a", "logprobs": 3, "echo": True})
        client.post(CHAT, json={"messages": USER, "logprobs": False})
    assert [each.logprobs for each in engine.samplings] == [2, 0, 3, None]
    assert [each.prompt_logprobs for each in engine.samplings] == [False, False, True, False]


def test_a_chat_completion() -> None:
    (choice,) = post(CHAT, ASKED, TEXT)["choices"]
    assert choice["message"]["content"] == "fünf"
    assert choice["logprobs"] == {"content": TOKENS_JSON, "refusal": None}


def test_a_streamed_chat_completion() -> None:
    chunks = [data["choices"][0] for _, data in stream(CHAT, ASKED, TEXT)[:-1]]
    texts = [chunk for chunk in chunks if chunk["delta"].get("content")]
    assert [chunk["delta"]["content"] for chunk in texts] == ["fü", "nf"]
    assert [chunk["logprobs"]["content"] for chunk in texts] == [TOKENS_JSON[:2], TOKENS_JSON[2:]]


def test_the_tokens_of_calls_are_those_that_the_model_wrote() -> None:
    body = {**ASKED, "tools": [ADD], "tool_choice": "required"}
    (choice,) = post(CHAT, body, calls(VALID))["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert joined(choice["logprobs"]["content"]) == VALID
    chunks = [data["choices"][0] for _, data in stream(CHAT, body, calls(VALID))[:-1]]
    streamed = [token for chunk in chunks if chunk["logprobs"] for token in _content(chunk)]
    assert joined(streamed) == VALID


def _content(chunk: Json) -> list[Json]:
    content: list[Json] = chunk["logprobs"]["content"]
    return content


def test_the_tokens_of_a_corrected_attempt_are_left_out() -> None:
    unique = function_json("pick", items={"type": "array", "uniqueItems": True})
    body = {**ASKED, "tools": [ADD, unique], "tool_choice": "required"}
    (choice,) = post(CHAT, body, calls(INVALID), calls(VALID))["choices"]
    assert joined(choice["logprobs"]["content"]) == VALID
    schema = {"type": "array", "uniqueItems": True}
    found = post(CHAT, {**ASKED, "json_schema": schema}, calls("[1, 1]"), calls("[1, 2]"))
    assert joined(found["choices"][0]["logprobs"]["content"]) == "[1, 2]"
    format_body = {**ASKED, "tools": [ADD], "response_format": {"type": "json_object"}}
    answered = post(CHAT, format_body, calls("Five."), calls('{"sum": 5}'))
    assert joined(answered["choices"][0]["logprobs"]["content"]) == '{"sum": 5}'


@pytest.mark.parametrize("body", [{"messages": USER}, {"messages": USER, "logprobs": False}])
def test_without_the_field_there_are_none(body: Json) -> None:
    assert post(CHAT, body, ["Five."])["choices"][0]["logprobs"] is None


def test_a_completion() -> None:
    (choice,) = post(COMPLETIONS, {"prompt": "a", "logprobs": 2}, TEXT)["choices"]
    assert choice["text"] == "fünf"
    assert choice["logprobs"] == {
        "tokens": ["f�", "�", "nf"],
        "token_logprobs": [-0.5, -0.25, -1.0],
        "top_logprobs": [{" half": -2.5, "�": -3.0}, {}, {}],
        "text_offset": [0, 2, 3],
    }


def test_a_completion_with_the_tokens_of_its_prompt() -> None:
    prompt = TokenLogprobs((TokenLogprob(b"a", None), TokenLogprob(b" b", -4.0)))
    body = {"prompt": "a b", "logprobs": 1, "echo": True}
    (choice,) = post(COMPLETIONS, body, [prompt, *TEXT])["choices"]
    assert choice["text"] == "a bfünf"
    assert choice["logprobs"]["tokens"][:2] == ["a", " b"]
    assert choice["logprobs"]["token_logprobs"] == [None, -4.0, -0.5, -0.25, -1.0]
    assert choice["logprobs"]["top_logprobs"][0] is None
    assert choice["logprobs"]["text_offset"] == [0, 1, 3, 5, 6]


def test_streamed_completions_of_several_prompts() -> None:
    with serving(TEXT, [*TEXT, TokenLogprobs((NEXT,))]) as (client, _):
        body = {"prompt": ["a", "b"], "logprobs": 0, "stream": True}
        found = events(client.post(COMPLETIONS, json=body).text)
    chunks = [chunk["choices"][0] for _, chunk in found[:-1]]
    for index, count in enumerate([3, 4]):
        own = [each["logprobs"] for each in chunks if each["index"] == index and each["logprobs"]]
        assert [end for each in own for end in each["text_offset"]] == [0, 2, 3, 5][:count]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, True),
        ({"include": ["message.output_text.logprobs"]}, True),
        ({"top_logprobs": 2}, True),
        ({"include": ["reasoning.encrypted_content"], "top_logprobs": 0}, False),
    ],
)
def test_a_response(fields: Json, shown: bool) -> None:
    body = {"input": "2 + 3?", **fields}
    (part,) = post(RESPONSES, body, TEXT if shown else ["fünf"])["output"][0]["content"]
    assert part["logprobs"] == (TOKENS_JSON if shown else [])
    found = dict(stream(RESPONSES, body, TEXT if shown else ["fünf"]))
    assert found["response.output_text.done"]["logprobs"] == (TOKENS_JSON if shown else [])
