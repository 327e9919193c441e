"""Answer requests with JSON or with a stream of events, and cancel them if the client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from .. import user_file
from ..errors import UsageError
from .api_error import ApiError, error_json
from .engine_queue import Item, JobStream
from .reply_events import ChoiceEvent

Json = Any
KEEP_ALIVE_S = 10.0
"""The seconds without an event after which a stream gets a comment."""
SEND_TIMEOUT_S = 300.0
"""The seconds that a client may take until it reads on; then the connection is closed."""
KEEP_ALIVE = b": keep-alive\n\n"


class Chunks(Protocol):
    """Writes the events of a stream in a wire format."""

    def start(self) -> Iterator[Json]:
        """Yield what comes before the first event."""

    def feed(self, item: ChoiceEvent) -> Iterator[Json]:
        """Yield what an event becomes."""

    def finish(self) -> Iterator[Json]:
        """Yield what comes after the last event."""


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """How the chunks of a wire format are written as bytes."""

    chunk: Callable[[Json], bytes]
    error: Callable[[ApiError], bytes]
    end: bytes = b""
    media_type: str = "text/event-stream"
    keep_alive: bytes = KEEP_ALIVE


def sse_data(chunk: Json) -> bytes:
    """Return a chunk as a server-sent event without a name."""
    return f"data: {json.dumps(chunk)}\n\n".encode()


def sse_named(event: Json) -> bytes:
    """Return an event as a server-sent event, named by its type."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def json_line(value: Json) -> bytes:
    """Return a value as a line of JSON."""
    return f"{json.dumps(value)}\n".encode()


OPENAI_STREAM = StreamFormat(
    sse_data, lambda error: sse_data(error_json(error)), b"data: [DONE]\n\n"
)


async def read_body(request: Request) -> Mapping[str, Json]:
    """Return the JSON object in the body of a request.

    Raises:
        ApiError: the body is no JSON object.
    """
    try:
        data = await request.body()
        body = user_file.parse_json(data.decode("utf-8"), "The body")
    except (UsageError, UnicodeDecodeError) as error:
        message = str(error) if isinstance(error, UsageError) else "The body is not UTF-8."
        raise ApiError(message, code="invalid_json") from error
    if not isinstance(body, Mapping):
        raise ApiError("The body is not a JSON object.", code="invalid_json")
    return body


def error_response(error: ApiError) -> Response:
    """Return an error in OpenAI's form."""
    return JSONResponse(error_json(error), error.status, error.headers)


async def cancel_on_disconnect(receive: Receive, stream: JobStream[ChoiceEvent]) -> None:
    """Cancel a job when its client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cancel()


async def collect(request: Request, stream: JobStream[ChoiceEvent]) -> list[ChoiceEvent]:
    """Return all events of a job.

    Raises:
        ApiError: the job failed.
        ClientDisconnect: the client has left; the job is cancelled.
    """
    watch = asyncio.create_task(cancel_on_disconnect(request.receive, stream))
    try:
        events = [item async for item in stream]
    finally:
        stream.cancelled.set()
        watch.cancel()
    if watch.done() and not watch.cancelled():
        raise ClientDisconnect
    return events


@dataclass(slots=True)
class StreamResponse:
    """An ASGI response that writes the events of a job as they arrive.

    An error before the first event has its own HTTP status; a later one is an event. If nothing
    has arrived after KEEP_ALIVE_S, the response begins with a comment, so that no proxy and no
    client gives up during a long prompt.
    """

    stream: JobStream[ChoiceEvent]
    chunks: Chunks
    format: StreamFormat
    headers: Mapping[str, str] = field(default_factory=dict)
    on_error: Callable[[ApiError], Response] = error_response
    keep_alive_s: float = KEEP_ALIVE_S
    send_timeout_s: float = SEND_TIMEOUT_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        watch = asyncio.create_task(cancel_on_disconnect(receive, self.stream))

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self.send_timeout_s):
                await send(message)

        started = False
        try:
            async for piece in self._pieces():
                if not started:
                    await send_in_time(self._head())
                    started = True
                message = {"type": "http.response.body", "body": piece, "more_body": True}
                await send_in_time(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ApiError as error:
            await self.on_error(error)(scope, receive, send)
        except OSError:
            pass  # The client has left, or does not read: TimeoutError is an OSError.
        finally:
            self.stream.cancelled.set()
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    def _head(self) -> dict[str, Json]:
        headers = {
            "content-type": f"{self.format.media_type}; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            **self.headers,
        }
        pairs = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
        return {"type": "http.response.start", "status": 200, "headers": pairs}

    async def _pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the body; an error is raised if nothing was sent before it."""
        sent = False
        try:
            async for item in with_pauses(self.stream, self.keep_alive_s):
                if not sent:
                    yield self._encode(self.chunks.start())
                    sent = True
                if item is None:
                    yield self.format.keep_alive
                elif data := self._encode(self.chunks.feed(item)):
                    yield data
        except ApiError as error:
            if not sent:
                raise
            yield self.format.error(error) + self.format.end
            return
        start = [] if sent else self.chunks.start()
        yield self._encode([*start, *self.chunks.finish()]) + self.format.end

    def _encode(self, chunks: Iterable[Json]) -> bytes:
        return b"".join(map(self.format.chunk, chunks))


async def with_pauses(stream: JobStream[Item], pause_s: float) -> AsyncIterator[Item | None]:
    """Yield the items of a stream, and None whenever nothing arrives for `pause_s` seconds."""
    while True:
        try:
            async with asyncio.timeout(pause_s):
                item = await anext(stream)
        except TimeoutError:
            yield None
        except StopAsyncIteration:
            return
        else:
            yield item
