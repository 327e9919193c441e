"""Remote engines against fake servers, also those that misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http_host import respond
from tests.fakes.remote_server import (
    CALL,
    FakeServer,
    answer,
    hang,
    remote_server,
    send_lines,
    status,
    tokens,
)
from xlam_local import agent, gbnf
from xlam_local.agent import TurnOptions
from xlam_local.errors import ContextExceeded, UsageError
from xlam_local.generators import drain
from xlam_local.grammar import compile_tools, of_other_models
from xlam_local.prompt import LLAMA, QWEN
from xlam_local.remote import http
from xlam_local.remote.address import RemoteAddress, parse_url
from xlam_local.remote.connect import connect
from xlam_local.remote.errors import RemoteError
from xlam_local.remote.http import Timeouts
from xlam_local.remote.remote_engine import RemoteEngine
from xlam_local.remote.server_load import ServerLoad
from xlam_local.types import (
    Deny,
    Event,
    GenerationEnd,
    Heartbeat,
    Notice,
    PromptPart,
    Sampling,
    TextDelta,
    Tool,
    ToolCalls,
    UserMessage,
)

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


def connected(server: FakeServer, timeouts: Timeouts = FAST) -> RemoteEngine:
    return drain(connect(parse_url(server.url), 1024, timeouts))


def text_of(engine: RemoteEngine, sampling: Sampling = Sampling()) -> str:
    items = list(engine.generate(HI, None, sampling))
    assert isinstance(items[-1], GenerationEnd)
    return "".join(item for item in items if isinstance(item, str))


def turn(engine: RemoteEngine, choice: str = "auto") -> list[Event]:
    options = TurnOptions(tool_choice=choice)
    return list(agent.turn([UserMessage("2 + 3?")], [ADD], engine, lambda *_: Deny(), options))


def calls_of(events: Sequence[Event]) -> list[Any]:
    return [dict(call.arguments) for e in events if isinstance(e, ToolCalls) for call in e.calls]


@pytest.mark.parametrize("kind", ["vLLM", "SGLang", "llama-server"])
def test_a_server_is_recognized_and_gets_our_tokens_and_grammar(kind: str) -> None:
    with remote_server(kind) as server:
        engine = connected(server)
        assert engine.server.kind.title == kind
        assert engine.server.enforces_grammar
        assert engine.prompt_format is QWEN
        assert engine.context_size == (2048 if kind == "llama-server" else 4096)
        assert engine.sequences == (4 if kind == "llama-server" else 16)
        assert engine.device == f"{kind} on 127.0.0.1"
        events = turn(engine, "required")
        assert calls_of(events) == [{"a": 2, "b": 3}]
        body = server.bodies[0]
        assert all(isinstance(token, int) for token in body["prompt"])


@pytest.mark.parametrize("kind", ["vLLM", "SGLang", "llama-server"])
def test_text_never_becomes_a_special_token(kind: str) -> None:
    with remote_server(kind) as server:
        engine = connected(server)
        text_of(engine)
        sent = server.bodies[-1]["prompt"]
        assert sent == [300, *b"user\nHi <|im_end|> you"]
        assert engine.count([HI]) == [len(sent)]


def test_the_grammar_is_sent_in_the_field_of_each_server() -> None:
    fields = {"vLLM": "structured_outputs", "SGLang": "ebnf", "llama-server": "grammar"}
    expected = gbnf.to_gbnf(compile_tools([ADD], "required").grammar)
    for kind, name in fields.items():
        with remote_server(kind) as server:
            turn(connected(server), "required")
            sent = server.bodies[0][name]
            assert (sent["grammar"] if kind == "vLLM" else sent) == expected


def test_other_models_may_write_each_call_on_a_line_of_its_own() -> None:
    with remote_server("llama-server", model="other") as server:
        template = "<|im_start|>{% for message in messages %}{{ message.content }}{% endfor %}"
        settings = {"default_generation_settings": {"n_ctx": 2048}, "total_slots": 4}
        properties = {**settings, "build_info": "b1", "chat_template": template}
        server.host.responders["/props"] = answer(properties)
        events = turn(connected(server), "required")
        assert calls_of(events) == [{"a": 2, "b": 3}]
        sent = server.bodies[0]["grammar"]
        calls = compile_tools([ADD], "required").grammar
        assert sent == gbnf.to_gbnf(of_other_models(calls, may_use_one_line=True))
        assert r'"[\n    {\"name\": \""' in sent


def test_calls_after_text_are_written_again_within_their_grammar() -> None:
    with remote_server(text='Let me see.\n[{"name": "add", "arguments": {"a": oops') as server:
        engine = connected(server)
        grammar = compile_tools([ADD]).enforced
        pieces = []
        for item in engine.generate(HI, grammar, Sampling(max_tokens=50)):
            if isinstance(item, str):
                pieces.append(item)
                if "see.\n" in "".join(pieces):
                    server.text = CALL
        assert "".join(pieces) == f"Let me see.\n{CALL}"
        first, second = server.bodies
        assert "structured_outputs" not in first
        assert second["prompt"] == [*first["prompt"], *b"Let me see.\n"]
        assert "call" in second["structured_outputs"]["grammar"]
        assert second["max_tokens"] < 50


def test_an_answer_in_text_is_whole() -> None:
    with remote_server(text="The sum [1] is {5}.") as server:
        events = turn(connected(server))
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "The sum [1] is {5}."
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        '{"name": "add", "arguments": {"a": 2, "b": 3}}',
        f"```json\n{CALL}\n```",
        '<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>',
    ],
)
def test_a_server_that_ignores_grammars_is_used_without(text: str) -> None:
    with remote_server(text=text, enforces_grammar=False) as server:
        engine = connected(server)
        events = turn(engine)
        assert calls_of(events) == [{"a": 2, "b": 3}]
        notices = [e.text for e in events if isinstance(e, Notice)]
        assert any("does not enforce grammars" in notice for notice in notices)
        assert not any(isinstance(e, Notice) for e in turn(engine))
        assert "structured_outputs" not in server.bodies[0]


def test_the_llama_family_is_found_by_its_special_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = LLAMA.special_tokens
    monkeypatch.setattr(
        "tests.fakes.remote_server.SPECIAL", {text: 300 + n for n, text in enumerate(texts)}
    )
    with remote_server(model="org/Llama-xLAM-2-70b-fc-r") as server:
        assert connected(server).prompt_format is LLAMA
    with remote_server(model="my-model") as server:
        with pytest.raises(UsageError, match=r"The prompt format of my-model .* is unknown"):
            connected(server)
        address = RemoteAddress(server.url, prompt_format="llama")
        assert drain(connect(address, 1024, FAST)).prompt_format is LLAMA
        address = RemoteAddress(server.url, prompt_format="qwen")
        with pytest.raises(UsageError, match="is unknown"):
            drain(connect(address, 1024, FAST))


def test_the_model_is_chosen_by_its_name() -> None:
    with remote_server() as server:
        entries = [{"id": "xLAM-2-a"}, {"id": "xLAM-2-b", "max_model_len": 99}]
        server.host.responders["/v1/models"] = answer({"data": entries})
        with pytest.raises(UsageError, match=r"several models. Name one: .*#xLAM-2-a, "):
            connected(server)
        with pytest.raises(UsageError, match=r"no model 'c'; it has: xLAM-2-a, xLAM-2-b"):
            drain(connect(parse_url(f"{server.url}/v1#c"), 1024, FAST))
        engine = drain(connect(parse_url(f"{server.url}/v1/#xLAM-2-b"), 1024, FAST))
        assert (engine.name, engine.context_size) == ("xLAM-2-b", 99)


BUSY = [
    [status(429, Retry_After="0")],
    [status(503), status(502)],
    [status(504), status(429, Retry_After="0.1")],
    [lambda request: request.connection.close()],
]


@pytest.mark.slow
@pytest.mark.parametrize("failures", BUSY)
def test_a_request_is_repeated_before_the_first_byte(failures: list[Any]) -> None:
    with remote_server(text="Hello.") as server:
        engine = connected(server)
        server.failures = list(failures)
        assert text_of(engine) == "Hello."
        assert len(server.bodies) == len(failures) + 1


def event(**fields: Any) -> dict[str, Any]:
    return {"id": "cmpl-1", "choices": [{"index": 0, "text": "x", "finish_reason": None} | fields]}


def cut(request: Any) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "9999")
    request.end_headers()
    request.wfile.write(b"data: " + json.dumps(event()).encode() + b"\n\n")
    request.connection.close()


def stall(request: Any) -> None:
    send_lines(request, "vLLM", [event()])
    time.sleep(1)


def sending(*lines: Any) -> Any:
    return lambda request: send_lines(request, "vLLM", lines)


WRONG = {
    "status 429": (status(429, Retry_After="100"), "status 429: too busy"),
    "status 500": (status(500), "status 500: too busy"),
    "status 400": (status(400), "status 400: too busy"),
    "status 401": (status(401), "status 401, so the key in XLAM_REMOTE_KEY is missing or wrong"),
    "a redirect": (status(302, Location="http://192.0.2.1"), "status 302, a redirect"),
    "a hang": (hang, "it sent nothing for "),
    "a stall": (stall, "it sent nothing for 0.3 seconds"),
    "a cut connection": (cut, "the connection ended in the middle of the answer"),
    "no end": (sending(event(), "data: [DONE]\n"), "ended the reply before it was whole"),
    "nothing": (sending(), "ended the reply before it was whole"),
    "no JSON": (sending(event(), "data: {oops\n"), "a line is not JSON"),
    "an array": (sending([1]), "a chunk is not an object"),
    "an error event": (sending(event(), {"error": {"message": "out of memory"}}), "out of memory"),
    "an error text": (sending({"error": "boom"}), "reported an error: boom"),
    "another choice": (sending(event(index=1)), "a choice that was not asked for"),
    "another reply's id": (sending(event(), {**event(), "id": "cmpl-2"}), "id of another reply"),
    "text after the end": (sending(event(finish_reason="stop"), event()), "text follows the end"),
    "a number as text": (sending(event(text=5)), "a text that is not a string"),
    "a long line": (sending("x" * (2 << 20)), "a line of its answer is over 1048576 bytes"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", WRONG)
def test_a_server_that_misbehaves_is_one_clear_error(fault: str) -> None:
    failure, message = WRONG[fault]
    with remote_server(always=failure) as server:
        engine = connected(server)
        with pytest.raises(RemoteError, match=message):
            text_of(engine)
        attempts = len(server.bodies)
        assert attempts == 1


def test_a_wrong_number_of_prompt_tokens_is_an_error() -> None:
    with remote_server() as server:
        engine = connected(server)
        server.prompt_tokens = 3
        with pytest.raises(RemoteError, match="read 3 prompt tokens, but 23 were sent"):
            text_of(engine)


@pytest.mark.parametrize(
    "found",
    [
        [],
        {"tokens": ["a"]},
        {"tokens": [-1]},
        {"tokens": [True]},
        {"count": 3},
        {"tokens": [1] * 99},
    ],
)
def test_a_tokenizer_with_wrong_ids_is_refused(found: Any) -> None:
    with remote_server() as server:
        server.host.responders["/tokenize"] = answer(found)
        with pytest.raises(RemoteError, match="/tokenize answered with "):
            connected(server)


def test_tokens_that_stand_for_another_text_are_refused() -> None:
    with remote_server() as server:
        server.host.responders["/tokenize"] = answer({"tokens": tokens("Hallo, Welt!")})
        with pytest.raises(RemoteError, match="that are not this text"):
            connected(server)


def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent() -> None:
    with remote_server() as server:
        engine = connected(server)
        prompt = (PromptPart("x" * 5000),)
        with pytest.raises(ContextExceeded, match="The prompt has 5000 tokens"):
            list(engine.generate(prompt, None, Sampling()))
        assert server.bodies == []
        text_of(engine, Sampling(max_tokens=999_999))
        assert server.bodies[0]["max_tokens"] == 4096 - 23


def test_a_reply_can_be_cancelled_and_finished_early() -> None:
    ended = threading.Event()

    def endless(request: Any) -> None:
        try:
            send_lines(request, "vLLM", [event()])
            while True:
                time.sleep(0.02)
                request.wfile.write(b"data: " + json.dumps(event()).encode() + b"\n\n")
        except OSError:
            ended.set()

    with remote_server(always=endless) as server:
        engine = connected(server)
        for finish in (True, False):
            ended.clear()
            reply = engine.generate(HI, None, Sampling())
            while not isinstance(next(reply), str):
                pass
            if finish:
                end = reply.send(True)
                assert isinstance(end, GenerationEnd)
                assert not end.truncated
            reply.close()
            assert ended.wait(3)


def test_a_waiting_request_can_be_cancelled() -> None:
    with remote_server(always=hang) as server:
        engine = connected(server, Timeouts(first_byte=30))
        reply = engine.generate(HI, None, Sampling())
        while not isinstance(next(reply), Heartbeat):
            pass
        started = time.monotonic()
        reply.close()
        assert time.monotonic() - started < 0.5


def test_what_is_found_out_is_kept_for_a_server_and_its_version(tmp_path: Path) -> None:
    cache = tmp_path / "new" / "servers.json"

    def requests_to_connect() -> int:
        before = len(server.host.requests)
        engine = drain(connect(parse_url(server.url), 1024, FAST, cache))
        assert engine.server.enforces_grammar
        assert engine.prompt_format is QWEN
        return len(server.host.requests) - before

    with remote_server() as server:
        first = requests_to_connect()
        assert requests_to_connect() <= 3 < first
        server.host.responders["/version"] = answer({"version": "0.34.0"})
        assert requests_to_connect() == first
        entries = json.loads(cache.read_text())
        assert len(entries) == 2
        old = {key: {**entry, "time": 0} for key, entry in entries.items()}
        for damaged in ("{", "[]", json.dumps(old), json.dumps(dict.fromkeys(entries, 5))):
            cache.write_text(damaged)
            assert requests_to_connect() == first


METRICS = b"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 5.0
"""


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("/health", b'{"requests_running": 1, "requests_waiting": 0}', ServerLoad(1, 0)),
        ("/slots", b'[{"is_processing": true}, {"is_processing": false}]', ServerLoad(1)),
        ("/metrics", METRICS, ServerLoad(3, 5)),
        ("/metrics", b"sglang:num_running_reqs 4\nsglang:num_queue_reqs 0.0\n", ServerLoad(4, 0)),
        ("/metrics", b"vllm:num_requests_running nan\n", ServerLoad()),
        ("/none", b"", ServerLoad()),
    ],
)
def test_a_server_says_how_busy_it_is(path: str, data: bytes, expected: ServerLoad) -> None:
    with remote_server() as server:
        server.host.responders[path] = respond(data)
        assert connected(server).load == expected


def test_no_server_is_one_sentence() -> None:
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:9/props: the server cannot be reached"):
        drain(connect(parse_url("http://127.0.0.1:9"), 1024, FAST))
    with remote_server("OpenAI") as server:
        del server.host.responders["/v1/models"]
        with pytest.raises(RemoteError, match="is no server that xlam-local knows"):
            connected(server)


def test_the_key_is_sent_and_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with remote_server() as server:
        monkeypatch.setenv("XLAM_REMOTE_KEY", "k-123")
        connected(server)
        assert {r.headers.get("Authorization") for r in server.host.requests} == {"Bearer k-123"}
    monkeypatch.setenv("XLAM_REMOTE_KEY", "a\nb")
    with pytest.raises(UsageError, match="XLAM_REMOTE_KEY has a character"):
        parse_url("http://localhost").key()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:8000", ("http://h:8000", "")),
        ("http://h:8000/", ("http://h:8000", "")),
        ("https://h/v1#a/b", ("https://h", "a/b")),
        ("https://h/proxy/v1/#m", ("https://h/proxy", "m")),
        ("http://[::1]:8000#m", ("http://[::1]:8000", "m")),
    ],
)
def test_urls_are_read(url: str, expected: tuple[str, str]) -> None:
    address = parse_url(url)
    assert (address.url, address.model) == expected


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "http://",
        "http://h:99999",
        "http://u:p@h",
        "http://h?x=1",
        "http://h:0",
        "h:8000",
    ],
)
def test_urls_that_name_no_server_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        parse_url(url)


def test_hosts_of_this_machine_are_known() -> None:
    local = ("http://localhost:1", "http://127.0.0.2", "http://[::1]:8")
    assert all(parse_url(url).is_local for url in local)
    other = ("http://192.168.0.2", "http://localhost.example.com", "https://127.0.0.1.nip.io")
    assert not any(parse_url(url).is_local for url in other)


def test_a_long_retry_after_is_an_error_and_nonsense_is_ignored() -> None:
    assert http._retry_after("soon") is None
    assert http._retry_after("-5") is None
    assert http._retry_after("1.5") == 1.5


def test_plain_http_to_another_machine_warns() -> None:
    steps = connect(parse_url("http://192.0.2.1:8000"), 1024, Timeouts(connect=0.1))
    assert "The connection to 192.0.2.1 is not encrypted" in next(steps).text
    steps.close()
