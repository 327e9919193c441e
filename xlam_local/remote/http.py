"""Requests to a remote engine: timeouts, retries before the first byte, and cancellation."""

from __future__ import annotations

import json
import queue
import random
import socket
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from .address import RemoteAddress
from .errors import RemoteError

Json = Any
POLL_S = 0.2
"""How often a waiting request can be cancelled."""
MAX_ATTEMPTS = 5
MAX_BACKOFF_S = 8.0
MAX_RETRY_AFTER_S = 60.0
MAX_ANSWER_BYTES = 16 << 20
MAX_LINE_BYTES = 1 << 20
MAX_SHOWN_CHARS = 200
RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The longest waits, in seconds."""

    connect: float = 5.0
    first_byte: float = 600.0
    """Until the first line of a reply: a long prompt, or a queue."""
    idle: float = 60.0
    """Between two lines of a reply."""
    answer: float = 30.0
    """For an answer that is not streamed."""


DEFAULT_TIMEOUTS = Timeouts()


@dataclass(slots=True)
class _Connection:
    """The socket of a request, by which another thread can end it."""

    sockets: list[socket.socket] = field(default_factory=list)
    closed: bool = False

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Note the socket, as httpx reports its steps."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            found = info["return_value"].get_extra_info("socket")
            if found is not None:
                self.sockets.append(found)
                if self.closed:
                    self.close()

    def close(self) -> None:
        self.closed = True
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class RemoteClient:
    """Sends requests to one server. Threads may share it: each request has its own connection."""

    def __init__(
        self, address: RemoteAddress, key: str = "", timeouts: Timeouts = DEFAULT_TIMEOUTS
    ):
        self.address = address
        self.timeouts = timeouts
        # Loading the certificates takes 0.2 s, too long for each request.
        self._verify = httpx2.create_ssl_context() if address.is_encrypted else False
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str) -> Json:
        """Return the JSON of an answer; a RemoteError says why there is none."""
        return self._answer("GET", path, None)

    def post(self, path: str, body: Json) -> Json:
        """Send JSON and return the JSON of the answer; a RemoteError says why there is none."""
        return self._answer("POST", path, body)

    def get_text(self, path: str) -> str:
        """Return the text of an answer; a RemoteError says why there is none."""
        return self._data("GET", path, None).decode("utf-8", "replace")

    def _answer(self, method: str, path: str, body: Json) -> Json:
        data = self._data(method, path, body)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._error(path, "its answer is not JSON") from error

    def _data(self, method: str, path: str, body: Json) -> bytes:
        for attempt in range(MAX_ATTEMPTS):
            try:
                return self._data_once(method, path, body)
            except RemoteError as error:
                if not error.retryable or attempt == MAX_ATTEMPTS - 1 or not error.status:
                    raise
                time.sleep(_delay(error, attempt))
        raise AssertionError  # the loop returns or raises

    def _data_once(self, method: str, path: str, body: Json) -> bytes:
        timeout = httpx2.Timeout(self.timeouts.answer, connect=self.timeouts.connect)
        data = bytearray()
        try:
            with (
                self._client(timeout) as client,
                client.stream(method, self.address.url + path, json=body) as response,
            ):
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > MAX_ANSWER_BYTES:
                        raise self._error(path, f"its answer is over {MAX_ANSWER_BYTES} bytes")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise self._failed(path, error) from error
        if response.status_code != 200:
            raise self._refused(path, response, bytes(data))
        return bytes(data)

    def stream(self, path: str, body: Json) -> Generator[str | None, None, None]:
        """Send JSON and yield the lines of the answer; None while nothing arrives.

        Before the first line, requests that the server refuses for the moment are repeated. To
        cancel, close the generator: the connection is closed, and the server stops.

        Raises:
            RemoteError: the server cannot be reached, refuses the request, or the answer ends.
        """
        for attempt in range(MAX_ATTEMPTS):
            started = False
            lines = self._stream_once(path, body)
            try:
                for line in lines:
                    started = started or line is not None
                    yield line
            except RemoteError as error:
                if started or not error.retryable or attempt == MAX_ATTEMPTS - 1:
                    raise
                wait = _delay(error, attempt)
            else:
                return
            finally:
                lines.close()
            yield from _pause(wait)

    def _stream_once(self, path: str, body: Json) -> Generator[str | None, None, None]:
        connection = _Connection()
        arrived: queue.Queue[str | RemoteError | None] = queue.Queue()
        reader = threading.Thread(
            target=self._read_lines, args=(path, body, connection, arrived), daemon=True
        )
        reader.start()
        limit = self.timeouts.connect + self.timeouts.first_byte
        deadline = time.monotonic() + limit
        try:
            while True:
                try:
                    item = arrived.get(timeout=POLL_S)
                except queue.Empty:
                    if time.monotonic() > deadline:
                        raise self._error(path, f"it sent nothing for {limit:g} seconds") from None
                    yield None
                    continue
                if isinstance(item, RemoteError):
                    raise item
                if item is None:
                    return
                limit = self.timeouts.idle
                deadline = time.monotonic() + limit
                yield item
        finally:
            connection.close()

    def _read_lines(
        self,
        path: str,
        body: Json,
        connection: _Connection,
        arrived: queue.Queue[str | RemoteError | None],
    ) -> None:
        """Put the lines of an answer into a queue, then None or the error that ended it."""
        timeout = httpx2.Timeout(None, connect=self.timeouts.connect)
        try:
            with (
                self._client(timeout) as client,
                client.stream(
                    "POST",
                    self.address.url + path,
                    json=body,
                    extensions={"trace": connection.trace},
                ) as response,
            ):
                if response.status_code != 200:
                    arrived.put(self._refused(path, response, _beginning(response)))
                    return
                for line in _lines(response):
                    arrived.put(line)
                arrived.put(None)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            arrived.put(self._failed(path, error))
        except ValueError as error:
            arrived.put(self._error(path, str(error)))

    def _client(self, timeout: httpx2.Timeout) -> httpx2.Client:
        # A redirect could lead the conversation to a host that the user has not allowed.
        return httpx2.Client(
            timeout=timeout,
            headers=self._headers,
            verify=self._verify,
            follow_redirects=False,
            trust_env=False,
        )

    def _error(self, path: str, reason: str) -> RemoteError:
        return RemoteError(f"{self.address.url}{path}: {reason}.")

    def _failed(self, path: str, error: Exception) -> RemoteError:
        match error:
            case httpx2.ConnectTimeout() | httpx2.ConnectError():
                reason = f"the server cannot be reached: {str(error) or 'no connection'}"
            case httpx2.TimeoutException():
                reason = f"the server did not answer within {self.timeouts.answer:g} seconds"
            case httpx2.RemoteProtocolError():
                reason = f"the connection ended in the middle of the answer: {error}"
            case _:
                reason = f"the connection failed: {error}"
        failed = self._error(path, reason.rstrip("."))
        failed.retryable = True
        return failed

    def _refused(self, path: str, response: httpx2.Response, data: bytes) -> RemoteError:
        status = response.status_code
        refused = self._error(path, f"status {status}{_explained(status, self, data)}")
        refused.status = status
        refused.retryable = status in RETRYABLE_STATUSES
        refused.retry_after_s = _retry_after(response.headers.get("Retry-After", ""))
        return refused


def _explained(status: int, client: RemoteClient, data: bytes) -> str:
    if status in (401, 403):
        return f", so the key in {client.address.key_env} is missing or wrong"
    if 300 <= status < 400:
        return ", a redirect, which is not followed; use the final URL"
    message = error_message(data)
    return f": {message.rstrip('.')}" if message else ""


def error_message(data: bytes | Json) -> str:
    """Return the message of an error in OpenAI's form, or the beginning of another text."""
    try:
        found = json.loads(data) if isinstance(data, bytes) else data
    except (ValueError, RecursionError):
        found = data.decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        found = found.get(key, found) if isinstance(found, dict) else found
    text = found if isinstance(found, str) else json.dumps(found)
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"


def _lines(response: httpx2.Response) -> Iterator[str]:
    """Yield the lines of a response; a ValueError says that one is too long."""
    rest = b""
    for piece in response.iter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r").decode("utf-8", "replace")
        if len(rest) > MAX_LINE_BYTES:
            raise ValueError(f"a line of its answer is over {MAX_LINE_BYTES} bytes")
    if rest:
        yield rest.rstrip(b"\r").decode("utf-8", "replace")


def _beginning(response: httpx2.Response) -> bytes:
    data = b""
    for piece in response.iter_bytes():
        data += piece
        if len(data) > MAX_LINE_BYTES:
            break
    return data[:MAX_LINE_BYTES]


def _retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header; dates and nonsense are left to the backoff."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if seconds >= 0 else None


def _delay(error: RemoteError, attempt: int) -> float:
    """Return how long to wait before a request is repeated.

    Raises:
        RemoteError: the server wants a longer wait than is made here.
    """
    if error.retry_after_s is not None:
        if error.retry_after_s > MAX_RETRY_AFTER_S:
            raise error
        return error.retry_after_s
    return float(min(MAX_BACKOFF_S, 0.5 * 2**attempt) * random.uniform(0.5, 1.0))


def _pause(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, POLL_S))
        yield None
