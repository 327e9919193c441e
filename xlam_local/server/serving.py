"""Run the server until a signal ends it."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import UsageError
from .app import build_app
from .security import AccessRules
from .server_state import ServerState

HEADER_TIMEOUT_S = 15.0
"""The longest time for the headers of a request."""
KEEP_ALIVE_TIMEOUT_S = 60
"""The longest time without a request on a connection."""
MAX_HEADER_BYTES = 64 << 10
MAX_CONNECTIONS = 512
SPARE_CONNECTIONS = 32
"""When fewer connections than these are free, the oldest one without a request is closed."""
OPEN_FILES = 4096
"""The open files that the process asks the system for; a connection is one."""
START_TIMEOUT_S = 30.0
CUT_S = 2
"""The time for the last chunks of replies that are cut when the grace time is over."""


class TimedProtocol(H11Protocol):
    """HTTP/1.1 with a limit on the time for the headers of each request.

    Connections without a request cannot keep others out: the oldest of them is closed.
    """

    header_timeout_s = HEADER_TIMEOUT_S
    _deadline: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._set_deadline()
        if len(self.connections) > MAX_CONNECTIONS - SPARE_CONNECTIONS:
            self._close_oldest()

    def _close_oldest(self) -> None:
        """Close the connection that has been without a request for longest.

        One that is closing waits until its client has read everything, which may be never.
        """
        others = [each for each in self.connections if isinstance(each, TimedProtocol)]
        idle = [each for each in others if each._is_idle() or each.transport.is_closing()]
        if idle:
            min(idle, key=lambda each: each._idle_since).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read data; the first data of a request begin its time."""
        if self._is_idle() and self._deadline is None:
            self._set_deadline()
        super().data_received(data)
        if not self._is_idle():
            self._idle_since = self.loop.time()
            self._clear_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._clear_deadline()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.header_timeout_s, self.transport.close)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class LocalServer(uvicorn.Server):
    """A server that reports its start, and ends with exit code 0 after a signal."""

    def __init__(
        self,
        settings: uvicorn.Config,
        state: ServerState,
        grace_s: float,
        ready: Callable[[], None],
    ) -> None:
        super().__init__(settings)
        self._queue = state.queue
        self._grace_s = grace_s
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and say so."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the running replies end, and cut those that take longer than the grace time."""
        self._queue.refuse_new()
        asyncio.get_running_loop().call_later(self._grace_s, self._queue.cut)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Begin the shutdown at SIGINT and SIGTERM; a second signal ends it at once."""
        before = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


class ThreadServer(LocalServer):
    """A server in a thread, which gets no signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: only the main thread of a process can set the handlers of signals."""
        yield


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; port 0 takes a free one.

    Raises:
        UsageError: the address is not one of this machine, or the port is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except BaseException:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no host name"
        raise UsageError(f"Cannot listen on {host}, port {port}: {reason}.") from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_settings(
    app: ASGIApp, grace_s: float, protocol: type[TimedProtocol] = TimedProtocol
) -> uvicorn.Config:
    """Return uvicorn's settings: its limits, and no output of its own."""
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("server", "xlam-local")],
        timeout_keep_alive=KEEP_ALIVE_TIMEOUT_S,
        timeout_graceful_shutdown=round(grace_s) + CUT_S,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )


def allow_open_files() -> None:
    """Raise the limit on open files, which is often 256 or 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run_server(
    state: ServerState,
    rules: AccessRules,
    bound: socket.socket,
    grace_s: float,
    ready: Callable[[], None],
) -> None:
    """Serve requests on a bound socket until SIGINT or SIGTERM; `ready` is called at the start."""
    settings = server_settings(build_app(state, rules), grace_s)
    allow_open_files()
    try:
        asyncio.run(LocalServer(settings, state, grace_s, ready).serve([bound]))
    finally:
        state.queue.close()


@contextmanager
def serve_in_thread(state: ServerState, rules: AccessRules, bound: socket.socket) -> Iterator[str]:
    """Serve requests on a bound socket in a thread until the end of the block; yield the URL.

    Replies that are running at the end are cut.
    """
    ready = threading.Event()
    server = ThreadServer(server_settings(build_app(state, rules), 0), state, 0, ready.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])), daemon=True)
    thread.start()
    ready.wait(START_TIMEOUT_S)
    try:
        yield url_of(bound)
    finally:
        server.should_exit = True
        thread.join()
        state.queue.close()
