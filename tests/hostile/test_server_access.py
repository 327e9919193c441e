"""Requests of others than the user's programs: nothing of them reaches the model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.running_server import TIMEOUT_S, Running, running_server
from tests.fakes.server_client import USER
from xlam_local.server import AccessRules
from xlam_local.server.app import ENDPOINTS
from xlam_local.server.security import MAX_BODY_PAUSES, OPEN_PATHS

TOKEN = "secret-token"
BODY = json.dumps({"messages": USER})
PROTECTED = [(method, path) for method, path in ENDPOINTS if path not in OPEN_PATHS]
GOOD = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
JSON_TYPE = "Content-Type: application/json\r\n"
CHAT = "POST /v1/chat/completions HTTP/1.1\r\n"


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[Running]:
    async with running_server(AccessRules(token=TOKEN, hosts=("xlam.lan",))) as made:
        yield made


def with_body(head: str, body: str = BODY) -> str:
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"


async def refused(guarded: Running, text: str) -> int:
    """Return the status of the answer, after checking that the model was not asked."""
    answer = await guarded.answer(text)
    assert answer.startswith("HTTP/1.1 ")
    assert "word" not in answer
    assert guarded.engine.closed == 0
    return int(answer.split()[1])


async def test_the_right_request_is_answered(guarded: Running) -> None:
    assert "word word" in await guarded.answer(with_body(f"{CHAT}{GOOD}{JSON_TYPE}"))


@pytest.mark.parametrize(("method", "path"), PROTECTED, ids=str)
async def test_no_endpoint_answers_without_a_token(
    guarded: Running, method: str, path: str
) -> None:
    target = path.replace("{model:path}", "scripted")
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{JSON_TYPE}"
    assert await refused(guarded, with_body(head)) == 401


@pytest.mark.parametrize(
    "credentials",
    [
        "Authorization: Bearer",
        "Authorization: Bearer wrong",
        f"Authorization: Bearer {TOKEN}x",
        f"Authorization: Bearer {TOKEN[:-1]}",
        f"Authorization: Bearer {TOKEN.upper()}",
        f"Authorization: Basic {TOKEN}",
        f"Authorization: {TOKEN}",
        f'Authorization: Bearer "{TOKEN}"',
        f"Authorization: Bearer wrong, Bearer {TOKEN}",
        "X-Api-Key: wrong",
        f"X-Api-Key: Bearer {TOKEN}",
        f"Cookie: token={TOKEN}",
        f"Proxy-Authorization: Bearer {TOKEN}",
        "Authorization: Bearer \xff\xfe",
    ],
)
async def test_wrong_credentials_are_refused(guarded: Running, credentials: str) -> None:
    head = f"{CHAT}Host: localhost\r\n{credentials}\r\n{JSON_TYPE}"
    assert await refused(guarded, with_body(head)) == 401


async def test_a_token_in_the_address_does_not_count(guarded: Running) -> None:
    target = f"/v1/chat/completions?token={TOKEN}&api_key={TOKEN}"
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{JSON_TYPE}"
    assert await refused(guarded, with_body(head)) == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "evil.example:8000",
        "xlam.lan.evil.example",
        "notxlam.lan",
        "localhost@evil.example",
        "evil.example#localhost",
        "evil.example/localhost",
        "0x7f000001.evil.example",
        "[::ffff:evil]",
        "локалхост",
    ],
)
async def test_foreign_hosts_are_refused(guarded: Running, host: str) -> None:
    head = f"{CHAT}Host: {host}\r\nAuthorization: Bearer {TOKEN}\r\n{JSON_TYPE}"
    assert await refused(guarded, with_body(head)) in (400, 421)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"{CHAT}Authorization: Bearer {TOKEN}\r\n", {400}),
        (f"{CHAT}{GOOD}Host: evil.example\r\n", {400}),
        (f"{CHAT}Host: evil.example\r\n{GOOD}", {400}),
        (f"{CHAT}Host: evil.example\r\nX-Forwarded-Host: localhost\r\n{GOOD[17:]}", {421}),
        (f"{CHAT}Host: evil.example\r\nForwarded: host=localhost\r\n{GOOD[17:]}", {421}),
    ],
)
async def test_missing_and_double_hosts_are_refused(
    guarded: Running, head: str, status: set[int]
) -> None:
    assert await refused(guarded, with_body(head + JSON_TYPE)) in status


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "file://",
        "http://localhost.evil.example",
        "http://localhost:1",
        "http://127.0.0.1:3000",
        "chrome-extension://abcdef",
        "http://localhost@evil.example",
        "http://xlam.lan.evil.example",
        "HTTP://EVIL.EXAMPLE",
    ],
)
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_foreign_origins_are_refused(guarded: Running, origin: str, method: str) -> None:
    head = CHAT.replace("POST", method)
    text = with_body(f"{head}{GOOD}Origin: {origin}\r\n{JSON_TYPE}")
    answer = await guarded.answer(text)
    assert answer.startswith("HTTP/1.1 403")
    assert "access-control-allow-origin" not in answer.lower()
    assert guarded.engine.closed == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"]
)
async def test_what_a_form_can_send_is_refused(guarded: Running, kind: str) -> None:
    assert await refused(guarded, with_body(f"{CHAT}{GOOD}Content-Type: {kind}\r\n")) == 415


# Bodies.


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_5_mib_is_refused(guarded: Running, chunked: bool) -> None:
    data = json.dumps({"messages": [{"role": "user", "content": "x" * (5 << 20)}]})
    if chunked:
        pieces = [data[at : at + 65536] for at in range(0, len(data), 65536)]
        body = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces) + "0\r\n\r\n"
        length = "Transfer-Encoding: chunked\r\n"
    else:
        body, length = data, f"Content-Length: {len(data)}\r\n"
    reader, writer = await guarded.send(f"{CHAT}{GOOD}{JSON_TYPE}{length}\r\n")
    writer.write(body.encode())
    async with asyncio.timeout(TIMEOUT_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.transport.abort()
    assert guarded.engine.closed == 0


@pytest.mark.parametrize(
    "length",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
    ],
)
async def test_lengths_that_two_servers_read_differently_are_refused(
    guarded: Running, length: str
) -> None:
    reader, writer = await guarded.send(f"{CHAT}{GOOD}{JSON_TYPE}{length}\r\n{{}}\r\n\r\n")
    async with asyncio.timeout(TIMEOUT_S):
        status = int((await reader.readline()).split()[1])
    writer.transport.abort()
    assert status in (400, 413, 501)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
async def test_a_compressed_body_is_refused(guarded: Running, encoding: str) -> None:
    head = f"{CHAT}{GOOD}{JSON_TYPE}Content-Encoding: {encoding}\r\n"
    assert await refused(guarded, with_body(head, "\x1f\x08\x00\x00")) == 400


@pytest.mark.slow
async def test_a_body_that_trickles_is_ended(guarded: Running) -> None:
    head = f"{CHAT}{GOOD}{JSON_TYPE}Content-Length: 4000000\r\n\r\n"
    reader, writer = await guarded.send(head)
    started = time.monotonic()

    async def trickle() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.05)

    task = asyncio.create_task(trickle())
    async with asyncio.timeout(TIMEOUT_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    task.cancel()
    writer.transport.abort()
    assert time.monotonic() - started < 0.2 * MAX_BODY_PAUSES + 5


async def test_an_endless_body_without_a_token_is_not_read(guarded: Running) -> None:
    head = f"{CHAT}Host: localhost\r\n{JSON_TYPE}Transfer-Encoding: chunked\r\n\r\n"
    reader, writer = await guarded.send(head)
    async with asyncio.timeout(TIMEOUT_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        with_data = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            while not reader.at_eof():
                writer.write(with_data)
                await writer.drain()
                await reader.read(65536)
        except ConnectionError:
            pass
    writer.transport.abort()


@pytest.mark.parametrize(
    "target",
    [
        "//v1/models",
        "/v1/../v1/models",
        "/V1/MODELS",
        "/v1/models/",
        "/%76%31/models",
        "*",
        "http:",
    ],
)
async def test_other_spellings_of_a_path_need_the_token_too(guarded: Running, target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n"
    assert await refused(guarded, f"{head}Connection: close\r\n\r\n") in (400, 401, 404)


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
async def test_open_paths_tell_nothing_but_the_state(guarded: Running, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await guarded.answer(head)
    assert answer.startswith("HTTP/1.1 200")
    assert answer.endswith('{"status":"ok"}')
