"""Completions, Anthropic's messages, Ollama's chat, and the endpoints of llama-server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.server_client import USER, function_json, post, serving, stream
from tests.fakes.turns import ADD_2_3
from xlam_local.server import AccessRules, completions, messages, ollama
from xlam_local.server.api_error import ApiError
from xlam_local.server.app import ENDPOINTS
from xlam_local.server.openapi import BODIES
from xlam_local.types import GenerationEnd, Usage

Json = Any
ADD = function_json()
ANTHROPIC_ADD = {"name": "add", "input_schema": ADD["function"]["parameters"]}
MESSAGES = {"messages": USER, "max_tokens": 50}
CACHED = GenerationEnd(False, Usage(10, 4, 3))


# Completions.


def test_a_prompt_is_continued() -> None:
    with serving(["Five."], ["Six."]) as (client, engine):
        body = {"prompt": ["2 + 3 =", "2 + 4 ="]}
        response = client.post("/v1/completions", json=body).json()
    assert engine.prompts == ["2 + 3 =", "2 + 4 ="]
    assert [choice["text"] for choice in response["choices"]] == ["Five.", "Six."]
    assert response["object"] == "text_completion"
    assert response["usage"]["prompt_tokens"] == 20


def test_a_continuation_is_streamed() -> None:
    body = {"prompt": "x", "stream_options": {"include_usage": True}}
    chunks = [data for _, data in stream("/v1/completions", body, ["Fi", "ve."])]
    texts = [chunk["choices"][0]["text"] for chunk in chunks[:-2]]
    assert texts == ["Fi", "ve.", ""]
    assert chunks[-2]["usage"]["completion_tokens"] == 3
    assert chunks[-1] == "[DONE]"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
        ({"best_of": 2}, "best_of"),
    ],
)
def test_fields_of_completions_that_cannot_be_honored(fields: Json, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        completions.read_request({"prompt": "x", **fields})
    assert caught.value.param == param


# Messages.


def test_a_message() -> None:
    reply = post("/v1/messages", MESSAGES, ["Five.", CACHED])
    assert (reply["type"], reply["role"], reply["stop_reason"]) == (
        "message",
        "assistant",
        "end_turn",
    )
    assert reply["content"] == [{"type": "text", "text": "Five."}]
    assert reply["usage"] == {
        "input_tokens": 6,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 3,
    }


def test_a_message_with_a_call() -> None:
    body = {**MESSAGES, "tools": [ANTHROPIC_ADD], "tool_choice": {"type": "any"}}
    reply = post("/v1/messages", body, ADD_2_3)
    assert reply["stop_reason"] == "tool_use"
    (block,) = reply["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "add", {"a": 2, "b": 3})


def test_the_events_of_a_message() -> None:
    body = {**MESSAGES, "tools": [ANTHROPIC_ADD]}
    found = stream("/v1/messages", body, ["Let me add.\n", *ADD_2_3])
    assert all(name == event["type"] for name, event in found)
    assert [name for name, _ in found if name != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    pieces = [event["delta"] for name, event in found if name == "content_block_delta"]
    written = [piece["partial_json"] for piece in pieces if piece["type"] == "input_json_delta"]
    assert json.loads("".join(written)) == {"a": 2, "b": 3}
    assert found[-2][1]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ("auto", True)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "none"}, ("none", True)),
        ({"type": "tool", "name": "add"}, ("add", True)),
    ],
)
def test_tool_choices_of_messages(choice: Json, expected: tuple[str, bool]) -> None:
    body = {**MESSAGES, "tools": [ANTHROPIC_ADD], "tool_choice": choice}
    reply = messages.read_request(body).reply
    assert (reply.tool_choice, reply.parallel_tool_calls) == expected


def test_the_system_text_and_stop_sequences_of_messages() -> None:
    body = {**MESSAGES, "system": [{"type": "text", "text": "Be brief."}], "stop_sequences": ["x"]}
    reply = messages.read_request(body).reply
    assert reply.messages[0].text == "Be brief."  # type: ignore[union-attr]
    assert reply.sampling.stop == ("x",)


def test_errors_of_messages_have_their_own_form() -> None:
    reply = post("/v1/messages", {**MESSAGES, "surprise": 1}, status=400)
    assert reply == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "surprise: is not supported."},
    }


def test_tools_that_anthropic_runs_are_left_out() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, ANTHROPIC_ADD]
    found = messages.read_request({**MESSAGES, "tools": tools})
    assert found.ignored_tools == ("web_search_20250305",)
    assert [tool.name for tool in found.reply.tools] == ["add"]


def test_the_tokens_of_a_conversation_are_counted() -> None:
    few = post("/v1/messages/count_tokens", {"messages": USER})["input_tokens"]
    body = {"messages": USER, "tools": [ANTHROPIC_ADD], "system": "One two three."}
    assert post("/v1/messages/count_tokens", body)["input_tokens"] > few > 0


# Ollama.


def lines(body: Json, *replies: Any) -> list[Json]:
    with serving(*replies) as (client, _):
        response = client.post("/api/chat", json={"messages": USER, **body})
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def test_ollama_streams_lines_by_default() -> None:
    found = lines({}, ["Fi", "ve."])
    assert [line["message"]["content"] for line in found] == ["Fi", "ve.", ""]
    assert [line["done"] for line in found] == [False, False, True]
    assert (found[-1]["done_reason"], found[-1]["eval_count"]) == ("stop", 3)


def test_ollama_gets_whole_calls() -> None:
    found = lines({"tools": [ADD]}, ADD_2_3)
    (call,) = found[0]["message"]["tool_calls"]
    assert call["function"] == {"name": "add", "arguments": {"a": 2, "b": 3}}


def test_ollama_without_a_stream() -> None:
    reply = post("/api/chat", {"messages": USER, "stream": False}, ["Five."])
    assert (reply["message"]["content"], reply["done"]) == ("Five.", True)


def test_options_of_ollama() -> None:
    options = {"num_ctx": 4096, "temperature": 0.5, "num_predict": 9, "stop": ["x"]}
    found = ollama.read_request({"messages": USER, "options": options}).reply.sampling
    assert (found.temperature, found.max_tokens, found.stop) == (0.5, 9, ("x",))
    default = ollama.read_request({"messages": USER, "options": {"num_predict": -1}})
    assert default.reply.sampling.max_tokens == 1024


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": {"mirostat": 2}}, "options.mirostat: 2 is not supported."),
        ({"think": True}, "think: true is not supported."),
        ({"template": "x"}, "template: is not supported."),
        ({"format": 5}, "format: a number is not a JSON Schema."),
    ],
)
def test_errors_of_ollama_have_their_own_form(fields: Json, message: str) -> None:
    assert post("/api/chat", {"messages": USER, **fields}, status=400) == {"error": message}


@pytest.mark.parametrize("form", ["json", {"type": "object"}])
def test_formats_of_ollama(form: Json) -> None:
    assert ollama.read_request({"messages": USER, "format": form}).reply.output is not None


# Other endpoints.


def test_the_endpoints_that_clients_look_at_first() -> None:
    with serving(["Five."]) as (client, _):
        assert client.get("/api/version").json()["version"].count(".") == 2
        assert client.get("/api/tags").json()["models"][0]["name"] == "scripted"
        assert "tools" in client.post("/api/show", json={}).json()["capabilities"]
        assert client.get("/props").json()["total_slots"] == 1
        assert client.get("/slots").json()[0]["is_processing"] is False


def test_a_prompt_is_shown_as_text() -> None:
    shown = post("/apply-template", {"messages": USER, "tools": [ADD]})["prompt"]
    assert shown.endswith("<|im_start|>assistant\n")
    assert '"add"' in shown


def test_metrics() -> None:
    with serving(["Five."]) as (client, _):
        client.post("/v1/chat/completions", json={"messages": USER})
        client.post("/v1/chat/completions", json={})
        text = client.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    chat = 'path="/v1/chat/completions"'
    assert values["xlam_reply_tokens_total"] == "3.0"
    assert values[f'xlam_responses_total{{{chat},status="400"}}'] == "1.0"
    assert values[f'xlam_responses_total{{{chat},status="200"}}'] == "1.0"
    assert values[f"xlam_request_seconds_count{{{chat}}}"] == "2.0"
    assert values[f'xlam_request_seconds_bucket{{le="300.0",{chat}}}'] == "2.0"
    assert values["xlam_queue_seconds_count"] == "1.0"
    assert values["xlam_first_text_seconds_count"] == "1.0"
    assert values["xlam_requests_waiting"] == "0.0"
    assert "2 + 3" not in text


def test_metrics_count_refusals_and_unknown_paths_without_new_labels() -> None:
    with serving(rules=AccessRules(token="secret")) as (client, _):
        client.get("/v1/models")
        for number in range(3):
            client.get(f"/nowhere/{number}", headers={"authorization": "Bearer secret"})
        client.get("/v1/models/x", headers={"authorization": "Bearer secret"})
        text = client.get("/metrics", headers={"authorization": "Bearer secret"}).text
    assert 'xlam_responses_total{path="/v1/models",status="401"} 1.0' in text
    assert 'xlam_responses_total{path="other",status="404"} 3.0' in text
    assert 'xlam_responses_total{path="/v1/models/{model:path}",status="404"} 1.0' in text


def test_the_seconds_of_a_stream_end_with_its_last_chunk() -> None:
    with serving(["Five."]) as (client, _):
        client.post("/v1/chat/completions", json={"messages": USER, "stream": True})
        text = client.get("/metrics").text
    assert 'xlam_request_seconds_count{path="/v1/chat/completions"} 1.0' in text


def test_the_openapi_document_describes_each_endpoint() -> None:
    with serving() as (client, _):
        document = client.get("/openapi.json").json()
    paths = {path for _, path in ENDPOINTS}
    assert len(document["paths"]) == len(paths)
    chat = document["paths"]["/v1/chat/completions"]["post"]
    schema = chat["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["messages"]
    assert schema["properties"]["temperature"]["maximum"] == 2
    shown = document["paths"]["/v1/models/{model}"]["get"]
    assert shown["parameters"][0]["name"] == "model"
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [None]},
        {"messages": [[]]},
        {"messages": [{"role": None}]},
        {"messages": USER, "tools": [None]},
        {"messages": USER, "tools": [[]]},
        {"messages": USER, "tools": [{"type": []}]},
        {"messages": USER, "tools": [{"type": {}}]},
        {"messages": USER, "tools": [{"function": {"name": 5}}]},
        {"messages": USER, "tools": [{"name": "a", "parameters": {"type": 5}}]},
        {"messages": USER, "tool_choice": {"type": []}},
        {"messages": USER, "tool_choice": []},
        {"messages": USER, "tool_choice": {"type": "allowed_tools", "tools": 5}},
        {"messages": USER, "response_format": {"type": {}}},
        {"messages": USER, "seed": 10**30},
        {"messages": USER, "temperature": 10**400},
        {"messages": USER, "stop": [{}]},
        {"messages": USER, "grammar": "root ::= root"},
        {"messages": USER, "json_schema": {"$ref": "#/nowhere"}},
        {"input": {}},
        {"prompt": {}},
        {"messages": USER, "format": []},
        {"messages": USER, "options": []},
    ],
)
def test_odd_requests_are_never_a_bug(body: Json) -> None:
    with serving(["x"], ["x"], ["x"], ["x"]) as (client, _):
        for path in BODIES:
            if path != "/apply-template" or "messages" in body:
                response = client.post(path, json=body)
                assert response.status_code != 500, (path, response.text)
