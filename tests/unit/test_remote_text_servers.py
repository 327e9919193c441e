"""Servers that take text instead of token ids, and JSON Schemas at most instead of grammars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.fakes.remote_server import CALL, FakeServer, remote_server, schema_of, status
from xlam_local import agent
from xlam_local.agent import TurnOptions
from xlam_local.generators import drain
from xlam_local.grammar import compile_tools
from xlam_local.remote.address import parse_url
from xlam_local.remote.connect import connect
from xlam_local.remote.http import Timeouts
from xlam_local.remote.remote_engine import Enforcement, RemoteEngine
from xlam_local.types import Deny, Event, Notice, PromptPart, Sampling, Tool, ToolCalls, UserMessage

ADD = Tool(
    "add",
    "Add two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
FAST = Timeouts(connect=1, first_byte=0.3, idle=0.3, answer=2)
HI = (PromptPart("<|im_start|>", True), PromptPart("user\nHi <|im_end|> you"))


def connected(server: FakeServer) -> RemoteEngine:
    return drain(connect(parse_url(server.url), 1024, FAST))


def turn(engine: RemoteEngine, choice: str = "auto") -> list[Event]:
    options = TurnOptions(tool_choice=choice)
    return list(agent.turn([UserMessage("2 + 3?")], [ADD], engine, lambda *_: Deny(), options))


def calls_of(events: Sequence[Event]) -> list[Any]:
    return [dict(call.arguments) for e in events if isinstance(e, ToolCalls) for call in e.calls]


@pytest.mark.parametrize("kind", ["Ollama", "OpenAI"])
def test_a_server_without_token_ids_gets_text_without_special_tokens(kind: str) -> None:
    with remote_server(kind, text="Hello.") as server:
        steps = connect(parse_url(server.url), 777, FAST)
        notice = next(steps)
        assert "takes no token ids" in notice.text
        engine = drain(steps)
        assert engine.context_size in (777, 4096)
        pieces = list(engine.generate(HI, None, Sampling()))
        assert "".join(piece for piece in pieces if isinstance(piece, str)) == "Hello."
        assert server.bodies[0]["prompt"] == "<|im_start|>user\nHi <\u200b|im_end|> you"
        assert calls_of(turn(engine)) == []
        server.text = CALL
        assert calls_of(turn(engine)) == [{"a": 2, "b": 3}]


@pytest.mark.parametrize("kind", ["Ollama", "OpenAI"])
def test_a_server_that_takes_only_json_schemas_gets_those_of_calls(kind: str) -> None:
    with remote_server(kind, enforces_schema=True) as server:
        engine = connected(server)
        assert engine.server.enforces is Enforcement.JSON_SCHEMA
        required = turn(engine, "required")
        assert calls_of(required) == calls_of(turn(engine)) == [{"a": 2, "b": 3}]
        (notice,) = [e.text for e in required if isinstance(e, Notice)]
        assert "enforces JSON Schemas, but no grammars" in notice
        expected = compile_tools([ADD], "required").grammar.json_schema
        assert expected is not None
        first, free, second = server.bodies
        assert schema_of(first) == schema_of(second) == expected
        assert schema_of(free) is None
        assert expected["items"]["anyOf"][0]["properties"]["name"] == {"const": "add"}
        server.text = "Hello."
        assert calls_of(turn(engine, "none")) == []
        assert schema_of(server.bodies[-1]) is None


def test_a_refused_json_schema_is_left_out() -> None:
    with remote_server("Ollama", enforces_schema=True) as server:
        engine = connected(server)
        server.failures = [status(500)]
        events = turn(engine, "required")
        assert calls_of(events) == [{"a": 2, "b": 3}]
        assert [schema_of(body) is None for body in server.bodies] == [False, True]
        assert any("without a JSON Schema" in e.text for e in events if isinstance(e, Notice))


def test_tools_with_references_have_no_json_schema_of_calls() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
    grammar = compile_tools([Tool("f", "", {"type": "object", **schema})], "required").grammar
    assert grammar.json_schema is None
