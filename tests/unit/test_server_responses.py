"""OpenAI's responses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.server_client import function_json, post, serving, stream
from tests.fakes.turns import ADD_2_3, add_call
from xlam_local.server.api_error import ApiError
from xlam_local.server.responses import read_request
from xlam_local.types import (
    GenerationEnd,
    SystemMessage,
    ToolCalls,
    ToolResult,
    Usage,
    UserMessage,
)

Json = Any
RESPONSES = "/v1/responses"
ADD = {"type": "function", **function_json()["function"]}
CALL = {"type": "function_call", "call_id": "call_x", "name": "add", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_x", "output": "5"}


def test_an_answer() -> None:
    response = post(RESPONSES, {"input": "2 + 3?", "metadata": {"a": "b"}}, ["Five."])
    assert (response["object"], response["status"]) == ("response", "completed")
    assert response["metadata"] == {"a": "b"}
    (message,) = response["output"]
    assert (message["type"], message["role"], message["status"]) == (
        "message",
        "assistant",
        "completed",
    )
    assert message["content"] == [
        {"type": "output_text", "text": "Five.", "annotations": [], "logprobs": []}
    ]
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 0}
    assert response["usage"]["total_tokens"] == 13


def test_a_call() -> None:
    response = post(RESPONSES, {"input": "2 + 3?", "tools": [ADD]}, ADD_2_3)
    (call,) = response["output"]
    assert call["type"] == "function_call"
    assert call["call_id"].startswith("call_")
    assert (call["name"], call["arguments"]) == ("add", '{"a": 2, "b": 3}')


def test_a_truncated_answer_is_incomplete() -> None:
    response = post(RESPONSES, {"input": "2 + 3?"}, ["Fi", GenerationEnd(True, Usage())])
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_events_of_an_answer() -> None:
    found = stream(RESPONSES, {"input": "2 + 3?"}, ["Fi", "ve."])
    assert all(name == event["type"] for name, event in found)
    assert [event["sequence_number"] for _, event in found] == list(range(len(found)))
    assert [name.removeprefix("response.") for name, _ in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    added, done = found[2][1]["item"], found[-2][1]["item"]
    assert (added["content"], added["status"]) == ([], "in_progress")
    assert done["content"][0]["text"] == "Five."
    assert found[-1][1]["response"]["output"] == [done]


def test_the_events_of_calls() -> None:
    found = stream(RESPONSES, {"input": "2 + 3?", "tools": [ADD]}, list(ADD_2_3[0]))
    kinds = [name.removeprefix("response.") for name, _ in found]
    deltas = [event for name, event in found if name.endswith("arguments.delta")]
    assert "".join(event["delta"] for event in deltas) == '{"a": 2, "b": 3}'
    assert kinds[2] == "output_item.added"
    assert kinds[-3:] == ["function_call_arguments.done", "output_item.done", "completed"]
    assert found[2][1]["item"]["arguments"] == ""
    assert {event["item_id"] for event in deltas} == {found[2][1]["item"]["id"]}


def test_text_before_calls_is_an_item_of_its_own() -> None:
    reply = ["Let me add.\n", *ADD_2_3]
    response = post(RESPONSES, {"input": "2 + 3?", "tools": [ADD], "stream": False}, reply)
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]


def test_an_error_within_a_stream_is_an_event() -> None:
    items = {"type": "array", "uniqueItems": True}
    tools = [{"type": "function", **function_json("pick", items=items)["function"]}, ADD]
    replies = ["Let me see.\n", *add_call(a="2")], add_call(a="2")
    found = stream(RESPONSES, {"input": "x", "tools": tools}, *replies)
    assert (found[-1][0], found[-1][1]["code"]) == ("error", "invalid_reply")


def test_the_input_is_a_conversation() -> None:
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": "x"}
    message = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "2 + 3?"}],
    }
    items = [message, reasoning, CALL, RESULT]
    found = read_request({"input": items, "instructions": "Be brief."}).reply.messages
    kinds = [type(one) for one in found]
    assert kinds == [SystemMessage, UserMessage, ToolCalls, ToolResult]


def test_what_codex_sends_is_accepted() -> None:
    body = {
        "client_metadata": {"a": "b"},
        "include": ["reasoning.encrypted_content"],
        "input": [{"type": "message", "role": "developer", "content": "x"}],
        "model": "gpt-5",
        "parallel_tool_calls": False,
        "prompt_cache_key": "x",
        "reasoning": {"effort": "low"},
        "store": False,
        "tool_choice": "auto",
        "tools": [ADD, {"type": "namespace", "name": "x", "tools": []}, {"type": "web_search"}],
    }
    with serving(["Hello."]) as (client, _):
        response = client.post(RESPONSES, json=body)
    assert response.status_code == 200
    assert response.headers["x-xlam-ignored-tools"] == "namespace, web_search"


def test_a_format_of_the_text() -> None:
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    assert read_request({"input": "x", "text": {"format": form}}).reply.output is not None
    assert read_request({"input": "x", "text": {"verbosity": "low"}}).reply.output is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"conversation": "c"}, "conversation"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tool_choice": {"type": "function", "name": "other"}}, "tool_choice"),
    ],
)
def test_a_field_that_cannot_be_honored_is_named(fields: Json, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_request({"input": "x", **fields})
    assert (caught.value.status, caught.value.param) == (400, param)
