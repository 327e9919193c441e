"""Chat completions: what a request means, and what a reply looks like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.server_client import USER, function_json, post, serving, stream
from tests.fakes.turns import ADD_2_3, add_call
from xlam_local.grammar import TextOrCalls
from xlam_local.server.api_error import ApiError
from xlam_local.server.chat_completions import ChatRequest, read_request
from xlam_local.types import GenerationEnd, ToolCalls, ToolResult, Usage, UserMessage

Json = Any
CHAT = "/v1/chat/completions"
ADD = function_json()
TWO_CALLS = [
    json.dumps([{"name": "add", "arguments": {"a": n, "b": 0}} for n in (1, 2)]),
]


def ask(*replies: Any, status: int = 200, **fields: Json) -> Json:
    return post(CHAT, {"messages": USER, **fields}, *replies, status=status)


def ask_stream(*replies: Any, **fields: Json) -> list[Json]:
    return [data for _, data in stream(CHAT, {"messages": USER, **fields}, *replies)]


def read(**fields: Json) -> ChatRequest:
    return read_request({"messages": USER, **fields})


def refusal(**fields: Json) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(**fields)
    return caught.value


# Answers.


def test_an_answer_without_tools() -> None:
    reply = ask(["Five", "."])
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "scripted"
    assert reply["id"].startswith("chatcmpl-")
    (choice,) = reply["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Five.", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert reply["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_a_call_is_returned_and_no_tool_runs() -> None:
    (choice,) = ask(ADD_2_3, tools=[ADD])["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"].startswith("call_")
    assert len(call["id"]) == 29
    assert call["function"] == {"name": "add", "arguments": '{"a": 2, "b": 3}'}


def test_parallel_calls_have_ids_of_their_own() -> None:
    (choice,) = ask(TWO_CALLS, tools=[ADD])["choices"]
    ids = [call["id"] for call in choice["message"]["tool_calls"]]
    assert len(set(ids)) == 2


def test_a_truncated_answer_ends_with_length() -> None:
    end = GenerationEnd(True, Usage(10, 4, 3))
    reply = ask(["Fi", end])
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}


def test_several_choices_have_seeds_that_follow_each_other() -> None:
    reply = ask(["One."], ["Two."], n=2)
    assert [choice["message"]["content"] for choice in reply["choices"]] == ["One.", "Two."]
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    assert reply["usage"]["prompt_tokens"] == 10
    assert reply["usage"]["completion_tokens"] == 6


def test_invalid_calls_are_corrected_once() -> None:
    with serving(add_call(a="2"), ADD_2_3) as (client, engine):
        reply = client.post(CHAT, json={"messages": USER, "tools": [ADD]}).json()
    (call,) = reply["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == '{"a": 2, "b": 3}'
    assert "The arguments are invalid" in engine.prompts[1]


UNIQUE = function_json("pick", items={"type": "array", "uniqueItems": True})


def test_a_required_call_is_corrected_by_a_call() -> None:
    body = {"messages": USER, "tools": [ADD], "tool_choice": "required"}
    with serving(add_call(a="2"), ADD_2_3) as (client, engine):
        client.post(CHAT, json=body)
    assert engine.grammars[0] == engine.grammars[1]
    assert not isinstance(engine.grammars[1], TextOrCalls)


def test_calls_that_stay_invalid_are_an_error() -> None:
    # Not 500: after that, OpenAI's and Anthropic's clients repeat a request by themselves.
    reply = ask(add_call(a="2"), add_call(a="2"), tools=[ADD], status=400)
    assert reply["error"]["type"] == "invalid_request_error"
    assert reply["error"]["code"] == "invalid_reply"
    assert "after one correction" in reply["error"]["message"]


# Streams.


def test_the_chunks_of_an_answer() -> None:
    chunks = ask_stream(["Fi", "ve."], stream_options={"include_usage": True})
    assert chunks[-1] == "[DONE]"
    usage = chunks[-2]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 3
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-2]]
    assert deltas == [
        {"role": "assistant", "content": None},
        {"content": "Fi"},
        {"content": "ve."},
        {},
    ]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-2]]
    assert reasons == [None, None, None, "stop"]
    assert len({chunk["id"] for chunk in chunks[:-1]}) == 1


def test_a_stream_has_no_usage_unless_it_is_asked_for() -> None:
    assert all(chunk == "[DONE]" or chunk["choices"] for chunk in ask_stream(["Five."]))


def test_the_chunks_of_calls_have_the_shape_that_all_clients_read() -> None:
    pieces = list(TWO_CALLS[0])
    chunks = ask_stream(pieces, tools=[ADD])
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas[0] == {"role": "assistant", "content": None}
    assert deltas[-1] == {}
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    calls: list[dict[str, Any]] = []
    for delta in deltas[1:-1]:
        (call,) = delta["tool_calls"]
        if "id" in call:
            assert call["index"] == len(calls)
            assert call["type"] == "function"
            assert call["function"] == {"name": "add", "arguments": ""}
            calls.append({"id": call["id"], "arguments": ""})
        else:
            assert call.keys() == {"index", "function"}
            assert call["function"].keys() == {"arguments"}
            calls[call["index"]]["arguments"] += call["function"]["arguments"]
    assert [call["arguments"] for call in calls] == ['{"a": 1, "b": 0}', '{"a": 2, "b": 0}']
    assert len(deltas) > 20


def test_calls_that_are_checked_after_decoding_are_sent_when_they_are_valid() -> None:
    wrong = [json.dumps([{"name": "pick", "arguments": {"items": [1, 1]}}])]
    right = [json.dumps([{"name": "pick", "arguments": {"items": [1, 2]}}])]
    chunks = ask_stream(wrong, right, tools=[UNIQUE])
    calls = [
        call for chunk in chunks[:-1] for call in chunk["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"items": [1, 2]}'


def test_text_that_only_looks_like_calls_stays_text() -> None:
    text = 'Write [{"name": "add"} in a list.'
    chunks = ask_stream(list(text), tools=[ADD])
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[1:-2]]
    assert "".join(delta["content"] for delta in deltas) == text


def test_an_error_after_the_first_chunk_is_an_event() -> None:
    chunks = ask_stream(["Let me see.\n", *add_call(a="2")], add_call(a="2"), tools=[UNIQUE, ADD])
    assert chunks[-1] == "[DONE]"
    assert chunks[-2]["error"]["code"] == "invalid_reply"


def test_an_error_before_the_first_chunk_has_its_status() -> None:
    with serving(["Five."]) as (client, engine):
        engine.context_size = 1
        body = {"messages": USER, "stream": True}
        response = client.post(CHAT, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


# Fields.


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "add"}}, "add"),
        ({"type": "function", "name": "add"}, "add"),
    ],
)
def test_tool_choices(choice: Json, expected: str) -> None:
    assert read(tools=[ADD], tool_choice=choice).reply.tool_choice == expected


@pytest.mark.parametrize("nested", [True, False])
def test_allowed_tools_leave_the_others_out(nested: bool) -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}
    choice = (
        {"type": "allowed_tools", "allowed_tools": allowed}
        if nested
        else {"type": "allowed_tools", **allowed}
    )
    reply = read(tools=[function_json("a"), function_json("b")], tool_choice=choice).reply
    assert ([tool.name for tool in reply.tools], reply.tool_choice) == (["b"], "required")


def test_the_choice_constrains_the_reply() -> None:
    with serving(["Five."], ADD_2_3) as (client, engine):
        body = {"messages": USER, "tools": [ADD]}
        client.post(CHAT, json={**body, "tool_choice": "none"})
        client.post(CHAT, json={**body, "tool_choice": "required"})
    assert not any(isinstance(grammar, TextOrCalls) for grammar in engine.grammars)


def test_one_call_at_a_time() -> None:
    assert read(parallel_tool_calls=False).reply.parallel_tool_calls is False


def test_sampling_fields() -> None:
    found = read(temperature=0.5, top_p=0.9, top_k=20, min_p=0.1, seed=7, max_tokens=5).reply
    sampling = found.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.5, 0.9, 20)
    assert (sampling.min_p, sampling.seed, sampling.max_tokens) == (0.1, 7, 5)


@pytest.mark.parametrize("temperature", [0, 5e-324, 1e-40, 1e-7])
def test_a_temperature_that_is_almost_0_is_0(temperature: float) -> None:
    assert read(temperature=temperature).reply.sampling.temperature == 0


@pytest.mark.parametrize(("given", "expected"), [("a", ("a",)), (["a", "b"], ("a", "b"))])
def test_stop_strings(given: Json, expected: tuple[str, ...]) -> None:
    assert read(stop=given).reply.sampling.stop == expected


def test_the_newer_name_of_the_token_limit_counts() -> None:
    assert read(max_tokens=5, max_completion_tokens=6).reply.sampling.max_tokens == 6


def test_replies_without_a_seed_differ() -> None:
    assert read().reply.sampling.seed != read().reply.sampling.seed


def test_fields_that_change_nothing_are_accepted() -> None:
    read(user="ann", metadata={"a": "b"}, store=False, logprobs=False, presence_penalty=0)
    read(frequency_penalty=0.0, logit_bias={}, reasoning_effort="low", tools=None, stop=None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"logprobs": 5}, "logprobs"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"audio": {}}, "audio"),
        ({"surprise": 1}, "surprise"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"other": 1}}, "stream_options.other"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"tools": {}}, "tools"),
        ({"tools": [function_json()] * 129}, "tools"),
        ({"tools": [ADD, ADD]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.schema"),
        ({"json_schema": {"type": 5}}, "json_schema"),
        ({"grammar": "root := 5"}, "grammar"),
        ({"grammar": 'root ::= "a"', "json_schema": True}, "response_format"),
    ],
)
def test_a_field_that_cannot_be_honored_is_named(fields: Json, param: str) -> None:
    error = refusal(**fields)
    assert (error.status, error.type, error.param) == (400, "invalid_request_error", param)
    assert str(error).endswith(".")


def test_a_schema_that_cannot_be_enforced_is_refused_by_its_keyword() -> None:
    tool = function_json("f", a={"type": "string", "pattern": "("})
    error = refusal(tools=[ADD, tool])
    assert error.param == "tools[1].parameters"
    assert "'f'" in str(error)
    assert "pattern" in str(error)


def test_tools_that_a_server_runs_are_left_out_with_a_note() -> None:
    tools = [{"type": "web_search"}, ADD]
    with serving(["Five."]) as (client, engine):
        response = client.post(CHAT, json={"messages": USER, "tools": tools})
    assert response.headers["x-xlam-ignored-tools"] == "web_search"
    assert '"add"' in engine.prompts[0]


def test_a_conversation_with_calls_and_results() -> None:
    call = {"id": "call_x", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    found = read(
        messages=[
            *USER,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_x", "content": "5"},
        ]
    ).reply.messages
    assert [type(message) for message in found] == [UserMessage, ToolCalls, ToolResult]


# Structured answers.


def test_a_json_schema_constrains_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with serving(['{"a": 5}']) as (client, engine):
        reply = client.post(CHAT, json={"messages": USER, "response_format": wanted}).json()
    assert reply["choices"][0]["message"]["content"] == '{"a": 5}'
    assert engine.grammars[0] is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_object", "schema": {"type": "object"}}},
        {"response_format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"json_schema": {"type": "object"}},
        {"grammar": 'root ::= "{}"'},
    ],
)
def test_formats_of_an_answer(fields: Json) -> None:
    assert ask(["{}"], **fields)["choices"][0]["message"]["content"] == "{}"


def test_text_is_no_constraint() -> None:
    assert read(response_format={"type": "text"}).reply.output is None


def test_json_that_is_checked_after_decoding_is_corrected_once() -> None:
    schema = {"type": "array", "uniqueItems": True}
    with serving(["[1, 1]"], ["[1, 2]"]) as (client, engine):
        reply = client.post(CHAT, json={"messages": USER, "json_schema": schema}).json()
    assert reply["choices"][0]["message"]["content"] == "[1, 2]"
    assert "The JSON is invalid" in engine.prompts[1]


@pytest.mark.parametrize("written", ["Sure!", "[" * 100_000, "[NaN]"])
def test_an_answer_that_is_no_json_is_corrected_once(written: str) -> None:
    schema = {"type": "array", "uniqueItems": True}
    with serving([written], ["[1, 2]"]) as (client, engine):
        reply = client.post(CHAT, json={"messages": USER, "json_schema": schema}).json()
    assert reply["choices"][0]["message"]["content"] == "[1, 2]"
    assert "The JSON is invalid: The answer is" in engine.prompts[1]


def test_json_that_stays_invalid_is_an_error() -> None:
    schema = {"type": "array", "uniqueItems": True}
    reply = ask(["[1, 1]"], ["[1, 1]"], json_schema=schema, status=400)
    assert reply["error"]["code"] == "invalid_reply"


def test_with_tools_the_model_calls_or_answers_in_the_format() -> None:
    wanted = {"type": "json_object"}
    (called,) = ask(ADD_2_3, tools=[ADD], response_format=wanted)["choices"]
    assert called["finish_reason"] == "tool_calls"
    (answered,) = ask(["Five."], ['{"sum": 5}'], tools=[ADD], response_format=wanted)["choices"]
    assert answered["message"]["content"] == '{"sum": 5}'
