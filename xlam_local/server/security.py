"""Refuse requests that no client of this machine's user sends.

A website can make a browser send requests to a local server, also under a host name of its own that
points to this machine (DNS rebinding). Such requests have a foreign Host or Origin header.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api_error import ApiError, error_json

MAX_BODY_BYTES = 4 << 20
BODY_TIMEOUT_S = 30.0
"""The longest pause between two pieces of a request's body."""
MAX_BODY_PAUSES = 10
"""The whole body may take so many times as long."""
OPEN_PATHS = frozenset({"/health", "/v1/health"})
"""The paths that need no token."""
AUTHORIZED = "xlam_authorized"
"""The key of the scope that says whether the request has the token, or none is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """Who may use the server."""

    token: str | None = None
    """The bearer token; None if requests need none."""
    hosts: tuple[str, ...] = ()
    """Names of this server besides localhost and IP addresses; `*` allows every name."""
    origins: tuple[str, ...] = ()
    """Websites that may send requests, as the header Origin has them; `*` allows all."""
    body_timeout_s: float = BODY_TIMEOUT_S


class SecurityMiddleware:
    """Checks the headers of each request, limits its body, and answers browsers' CORS questions."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        origin = headers.get("origin", "")
        cors = _cors(origin) if _is_allowed_origin(origin, self._rules.origins) else {}

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start" and cors:
                pairs = [(key.encode(), value.encode()) for key, value in cors.items()]
                message = {**message, "headers": [*message["headers"], *pairs]}
            await send(message)

        try:
            self._check(scope, headers)
            if scope["method"] == "OPTIONS" and cors:
                await Response(status_code=204)(scope, receive, send_with_cors)
                return
            scope[AUTHORIZED] = self._has_token(headers)
            if not scope[AUTHORIZED] and scope["path"] not in OPEN_PATHS:
                raise _missing_token()
            body = _LimitedBody(receive, self._rules.body_timeout_s)
            await self._app(scope, body.receive, send_with_cors)
        except ApiError as error:
            response = JSONResponse(error_json(error), error.status, error.headers)
            await response(scope, receive, send_with_cors)

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Check the host, the origin, the type of the body and its size."""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        if not _is_allowed_host(host, self._rules.hosts):
            raise ApiError(
                f"The host {_quoted(host)} is not allowed. Allow it with --allow-host.",
                status=421,
                code="host_not_allowed",
            )
        same_origin = origin in (f"http://{host}", f"https://{host}")
        if origin and not same_origin and not _is_allowed_origin(origin, self._rules.origins):
            raise ApiError(
                f"The origin {_quoted(origin)} is not allowed. Allow it with --allow-origin.",
                status=403,
                code="origin_not_allowed",
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise _too_large()
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and media_type != "application/json":
            raise ApiError(
                "The header Content-Type has to be application/json.",
                status=415,
                code="unsupported_media_type",
            )

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        if self._rules.token is None:
            return True
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        given = credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        return hmac.compare_digest(given.encode(), self._rules.token.encode())


def _missing_token() -> ApiError:
    return ApiError(
        "The token is missing or wrong. Send it as `Authorization: Bearer TOKEN`; "
        "`xlam-local serve --print-token` prints it.",
        status=401,
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


class _LimitedBody:
    """The body of a request, with a limit on its size, on the pauses in it and on its time."""

    def __init__(self, receive: Receive, timeout_s: float) -> None:
        self._receive = receive
        self._timeout_s = timeout_s
        self._end = asyncio.get_running_loop().time() + timeout_s * MAX_BODY_PAUSES
        self._size = 0
        self._complete = False

    async def receive(self) -> Message:
        """Return the next message; after the body, wait for the disconnect without a limit."""
        if self._complete:
            return await self._receive()
        left_s = self._end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._timeout_s, left_s)):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                f"The request's body stopped for {self._timeout_s:g} seconds, or took "
                f"{self._timeout_s * MAX_BODY_PAUSES:g} seconds in total.",
                status=408,
                code="body_timeout",
                headers={"Connection": "close"},
            ) from None
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._size > MAX_BODY_BYTES:
            raise _too_large()
        return message


def _too_large() -> ApiError:
    return ApiError(
        f"The request's body is larger than {MAX_BODY_BYTES >> 20} MiB.",
        status=413,
        code="body_too_large",
        headers={"Connection": "close"},
    )


def _is_allowed_host(header: str, hosts: tuple[str, ...]) -> bool:
    """Return whether a Host header is an IP address, which no website can take, or a known name."""
    if "*" in hosts:
        return True
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name in {host.lower() for host in hosts}:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_allowed_origin(origin: str, origins: tuple[str, ...]) -> bool:
    return bool(origin) and ("*" in origins or origin in origins)


def _cors(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Api-Key",
        "Vary": "Origin",
    }


def _quoted(value: str) -> str:
    return repr(value if len(value) <= 100 else f"{value[:100]}…")
