"""An HTTP server on this machine with prepared responses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Responder = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class ReceivedRequest:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def respond(
    body: bytes, kind: str = "text/plain", status: int = 200, headers: Mapping[str, str] = {}
) -> Responder:
    """Return a responder that sends one response."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return send


def redirect(location: str, status: int = 302) -> Responder:
    return respond(b"", status=status, headers={"Location": location})


class HttpHost:
    """A server that records its requests and answers each path with a responder, or with 404."""

    def __init__(self) -> None:
        self.responders: dict[str, Responder] = {}
        self.requests: list[ReceivedRequest] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def handle_method(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                host.requests.append(
                    ReceivedRequest(self.command, self.path, dict(self.headers), body)
                )
                path = self.path.partition("?")[0]
                send = host.responders.get(path, respond(b"not found", status=404))
                with suppress(BrokenPipeError, ConnectionResetError):
                    send(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_method  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def http_host() -> Iterator[HttpHost]:
    host = HttpHost()
    thread = threading.Thread(target=host.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield host
    finally:
        host.server.shutdown()
        thread.join()
        host.server.server_close()
