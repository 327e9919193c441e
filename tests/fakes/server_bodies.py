"""A valid request for each endpoint, with many fields."""

from __future__ import annotations

from typing import Any

from tests.fakes.server_client import function_json

Json = Any
ADD = function_json()
CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "5"},
    ],
    "tools": [ADD],
    "tool_choice": {"type": "function", "function": {"name": "add"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    "stream_options": {"include_usage": True},
    **{"temperature": 0.5, "top_p": 1, "top_k": 5, "min_p": 0, "n": 2, "seed": 1, "stop": ["a"]},
    **{"max_tokens": 5, "stream": True, "parallel_tool_calls": False, "user": "u"},
}
ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "add"}]},
}
RESPONSES = {
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "5"},
        {"type": "reasoning", "summary": []},
    ],
    "tools": [{"type": "function", **ADD["function"]}],
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
    "tool_choice": {"type": "function", "name": "add"},
    "instructions": "i",
    "reasoning": {"effort": "low"},
}
MESSAGES = {
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "add", "input": {"a": 1}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "content": "5"}],
        },
    ],
    "tools": [{"name": "add", "input_schema": ADD["function"]["parameters"]}],
    "tool_choice": {"type": "tool", "name": "add", "disable_parallel_tool_use": True},
    "thinking": {"type": "disabled"},
}
OLLAMA = {
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "tool_name": "add", "content": "5"},
    ],
    "tools": [ADD],
    "format": {"type": "object"},
    "options": {"temperature": 0, "num_predict": 5, "num_ctx": 100, "stop": ["a"]},
}
COMPLETION = {"prompt": [[1, 2], "x"], "stop": "a", "json_schema": {"type": "object"}, "echo": True}
