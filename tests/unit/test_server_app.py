"""The server's routes, and who may use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.server_client import OPEN, USER, serving
from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local.agent import Engine
from xlam_local.errors import UsageError
from xlam_local.server import (
    AccessRules,
    EngineQueue,
    ServerState,
    access_token,
    build_app,
)
from xlam_local.server.api_error import ApiError
from xlam_local.server.chat_completions import ChatChunks, ReplyHead
from xlam_local.server.engine_queue import JobStream
from xlam_local.server.reply_events import ChoiceEvent, ReplyEnd
from xlam_local.server.responding import KEEP_ALIVE, OPENAI_STREAM, StreamResponse, with_pauses

CHAT = "/v1/chat/completions"
TOKEN = AccessRules(token="secret")


def status(headers: Mapping[str, str], rules: AccessRules = OPEN, method: str = "GET") -> int:
    with serving(rules=rules) as (client, _):
        return client.request(method, "/v1/models", headers=headers).status_code


def test_the_models_are_the_one_that_is_loaded() -> None:
    with serving() as (client, _):
        listed = client.get("/v1/models").json()
        shown = client.get("/v1/models/scripted").json()
        other = client.get("/v1/models/gpt-4")
    assert listed["data"] == [shown]
    assert shown["id"] == "scripted"
    assert other.status_code == 404
    assert other.json()["error"]["code"] == "model_not_found"


def test_paths_without_the_version_are_the_same_endpoints() -> None:
    with serving(["x"]) as (client, _):
        assert client.get("/models").json() == client.get("/v1/models").json()
        assert client.post("/chat/completions", json={"messages": USER}).status_code == 200
        text = client.get("/metrics").text
    assert 'xlam_responses_total{path="/v1/chat/completions",status="200"} 1.0' in text
    assert status({"host": "evil.example"}) == 421
    with serving(rules=TOKEN) as (client, _):
        assert client.get("/models").status_code == 401


def test_health_needs_no_token() -> None:
    with serving(rules=TOKEN) as (client, _):
        assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/nowhere", "/v1/chat", "/v1/chat/completions/x"])
def test_an_unknown_path_is_an_error_in_openai_form(path: str) -> None:
    with serving() as (client, _):
        response = client.get(path)
    assert response.status_code == 404
    assert path in response.json()["error"]["message"]


def test_an_unknown_method_is_an_error_in_openai_form() -> None:
    with serving() as (client, _):
        response = client.get(CHAT)
    assert response.status_code == 405
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"5", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 5000],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with serving() as (client, _):
        headers = {"content-type": "application/json"}
        response = client.post(CHAT, content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_json"


# Access.


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "bearer secret"}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"x-api-key": "secret"}, 200),
        ({"x-api-key": "sécret".encode("latin-1").decode("latin-1")}, 401),
    ],
)
def test_the_token(headers: Mapping[str, str], expected: int) -> None:
    encoded = {key: value.encode("latin-1") for key, value in headers.items()}
    assert status(encoded, TOKEN) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:9", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:127", 421),
        ("", 421),
        ("[::1", 421),
        ("a@localhost@evil.example", 421),
        ("server.lan", 200),
    ],
)
def test_host_names_of_others_are_refused(host: str, expected: int) -> None:
    assert status({"host": host}, AccessRules(hosts=("server.lan",))) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1", 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://localhost:3000", 200),
        ("http://localhost:3001", 403),
    ],
)
def test_websites_are_refused_unless_they_are_allowed(origin: str, expected: int) -> None:
    rules = AccessRules(origins=("http://localhost:3000",))
    assert status({"origin": origin}, rules) == expected


def test_only_allowed_websites_get_cors_headers() -> None:
    rules = AccessRules(token="secret", origins=("http://localhost:3000",))
    with serving(rules=rules) as (client, _):
        asked = client.options(CHAT, headers={"origin": "http://localhost:3000"})
        foreign = client.options(CHAT, headers={"origin": "http://evil.example"})
        plain = client.get("/health")
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers
    assert "access-control-allow-origin" not in plain.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_bodies_of_other_types_are_refused(kind: str) -> None:
    # A website can send these without asking the browser for permission.
    with serving(["x"]) as (client, _):
        response = client.post(CHAT, content=json.dumps({}), headers={"content-type": kind})
    assert response.status_code == 415


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_4_mib_is_refused(chunked: bool) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x" * (5 << 20)}]}).encode()
    pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
    with serving(["x"]) as (client, _):
        response = client.post(
            CHAT,
            content=pieces if chunked else body,
            headers={"content-type": "application/json"},
        )
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


async def test_a_body_that_stops_is_refused() -> None:
    queue = EngineQueue(Scripted(["x"]), 1)
    app = build_app(ServerState(queue, WordTokenizer()), AccessRules(body_timeout_s=0.01))
    received = iter([{"type": "http.request", "body": b"{", "more_body": True}])
    sent: list[Any] = []

    async def receive() -> Any:
        if message := next(received, None):
            return message
        return await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope(CHAT), receive, send)
    queue.close()
    assert sent[0]["status"] == 408


def http_scope(path: str) -> dict[str, Any]:
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "root_path": "",
        "server": ("localhost", 80),
    }


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_its_reply(stream: bool) -> None:
    class Endless(Scripted):
        def generate(self, *arguments: Any) -> Any:
            try:
                while True:
                    yield "word "
            finally:
                self.closed += 1

    engine = Endless()
    queue = EngineQueue(engine, 1)
    app = build_app(ServerState(queue, WordTokenizer()), AccessRules())
    body = json.dumps({"messages": USER, "stream": stream}).encode()
    received = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:
        if message := next(received, None):
            return message
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(10):
        await app(http_scope(CHAT), receive, send)
        while not engine.closed:
            await asyncio.sleep(0.01)
    queue.close()


def no_job(engine: Engine) -> Generator[str, None, None]:
    yield from ()


async def test_pauses_are_reported_and_lose_nothing() -> None:
    stream: JobStream[str] = JobStream(no_job, asyncio.get_running_loop())
    found: list[str | None] = []
    stream.put("a")
    async for item in with_pauses(stream, 0.01):
        found.append(item)
        if item is None and found.count(None) == 1:
            stream.put("b")
            stream.put(None)
    assert [item for item in found if item] == ["a", "b"]
    assert None in found


def no_reply(engine: Engine) -> Generator[ChoiceEvent, None, None]:
    yield from ()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (ChoiceEvent(0, ReplyEnd("stop")), b'"finish_reason": "stop"'),
        (ApiError("It is too long."), b'"message": "It is too long."'),
    ],
)
async def test_a_long_prompt_gets_comments_and_then_its_answer(
    item: ChoiceEvent | ApiError, expected: bytes
) -> None:
    stream: JobStream[ChoiceEvent] = JobStream(no_reply, asyncio.get_running_loop())
    chunks = ChatChunks(ReplyHead("id", "model", 0, ""), 1, False)
    response = StreamResponse(stream, chunks, OPENAI_STREAM, keep_alive_s=0.01)
    sent: list[Any] = []

    async def receive() -> Any:
        return await asyncio.sleep(60)

    async def send(message: Any) -> None:
        if message.get("body") == KEEP_ALIVE and KEEP_ALIVE not in bodies():
            stream.put(item)
            stream.put(None)
        sent.append(message)

    def bodies() -> list[bytes]:
        return [message.get("body", b"") for message in sent]

    async with asyncio.timeout(10):
        await response({}, receive, send)
    body = b"".join(bodies())
    assert sent[0]["status"] == 200
    assert body.index(b": keep-alive") < body.index(expected)
    assert body.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_does_not_read_is_left() -> None:
    stream: JobStream[ChoiceEvent] = JobStream(no_reply, asyncio.get_running_loop())
    chunks = ChatChunks(ReplyHead("id", "model", 0, ""), 1, False)
    response = StreamResponse(stream, chunks, OPENAI_STREAM, send_timeout_s=0.01)
    stream.put(ChoiceEvent(0, ReplyEnd("stop")))

    async def wait(*_: Any) -> Any:
        return await asyncio.sleep(60)

    async with asyncio.timeout(10):
        await response({}, wait, wait)
    assert stream.cancelled.is_set()


# The token's file.


def test_the_token_is_made_once_in_a_private_file(tmp_path: Path) -> None:
    first = access_token(tmp_path / "config", {})
    second = access_token(tmp_path / "config", {})
    assert first.new
    assert not second.new
    assert first.value == second.value
    assert len(first.value) >= 32
    assert Path(first.source).stat().st_mode & 0o777 == 0o600


def test_the_variable_replaces_the_file(tmp_path: Path) -> None:
    assert access_token(tmp_path, {"XLAM_LOCAL_TOKEN": "abc"}).value == "abc"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", " \n", "two words", "ümlaut"])
def test_a_file_without_a_token_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "server-token").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="holds no token"):
        access_token(tmp_path, {})
