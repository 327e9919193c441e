"""A Hugging Face Hub on this computer: file lists, metadata, downloads with ranges, and faults."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

COMMIT = "c0ffee" + "0" * 34
CHUNK_BYTES = 256 << 10
SENDFILE_BYTES = 512 << 20
"""Larger files are sent by the kernel, for benchmarks."""


@dataclass
class FakeRepo:
    """A repository; the metadata is true unless `hashes` or `sizes` say otherwise."""

    files: dict[str, Path] = field(default_factory=dict)
    commit: str = COMMIT
    token: str | None = None
    gated: bool = False
    hashes: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass
class RangeRequest:
    """A request for the bytes of a file."""

    repo: str
    start: int
    authorization: str | None
    sent: int = 0
    """Bytes sent so far."""


Fault = Callable[["FakeHub", web.Request, Path, int], Awaitable[web.StreamResponse]]
"""Answers a request for the bytes of a file from an offset."""


class FakeHub:
    """The parts of the Hub's API that downloads of GGUF files need."""

    def __init__(self) -> None:
        self.repos: dict[str, FakeRepo] = {}
        self.faults: deque[Fault] = deque()
        """The answers to the next requests for bytes, one for each."""
        self.always: Fault | None = None
        """The answer to every other request for bytes."""
        self.answers: deque[web.Response] = deque()
        """The answers to the next requests for metadata."""
        self.range_requests: list[RangeRequest] = []
        self.api_paths: list[str] = []
        """The paths of the requests for metadata."""
        self.endpoint = ""
        self.rate: float | None = None
        """Bytes per second of each response; None is as fast as possible."""
        self.storage = ""
        """The origin of the bytes. As on the real Hub, it is not that of the metadata."""
        self._hashes: dict[tuple[Path, float, int], str] = {}

    def add(self, repo: str, path: Path, name: str | None = None) -> str:
        """Add a file to a repository; return its SHA-256."""
        self.repos.setdefault(repo, FakeRepo()).files[name or path.name] = path
        return self.sha256(path)

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file."""
        stat = path.stat()
        key = (path, stat.st_mtime, stat.st_size)
        if key not in self._hashes:
            with path.open("rb") as file:
                self._hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._hashes[key]

    def app(self) -> web.Application:
        """Return the routes."""
        app = web.Application()
        app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", self.list_files)
        app.router.add_route("*", "/{owner}/{name}/resolve/{revision}/{file:.+}", self.metadata)
        app.router.add_get("/bytes/{owner}/{name}/{file:.+}", self.content)
        return app

    def find_repo(self, request: web.Request) -> tuple[FakeRepo, str] | web.Response:
        """Return the requested repository and its name in the original case, or an error."""
        self.api_paths.append(request.path)
        if self.answers:
            return self.answers.popleft()
        requested = f"{request.match_info['owner']}/{request.match_info['name']}"
        names = {name.casefold(): name for name in self.repos}
        repo = self.repos.get(names.get(requested.casefold(), ""))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo is None or (repo.token and not repo.gated and not token):
            return error_response(401, "RepoNotFound", "Repository not found")
        if token and repo.token and token != repo.token:
            return error_response(401, "", "Invalid credentials in Authorization header")
        if repo.gated and token != repo.token and "/resolve/" in request.path:
            return error_response(401, "GatedRepo", f"Access to model {requested} is restricted.")
        if request.match_info["revision"] not in ("main", repo.commit):
            return error_response(404, "RevisionNotFound", "Invalid rev id")
        return repo, names[requested.casefold()]

    async def list_files(self, request: web.Request) -> web.Response:
        """Answer with the files of a repository."""
        found = self.find_repo(request)
        if isinstance(found, web.Response):
            return found
        repo, name = found
        siblings = []
        for file, path in repo.files.items():
            sha, size = repo.hashes.get(file, self.sha256(path)), path.stat().st_size
            lfs = {"sha256": sha, "size": size, "pointerSize": 135}
            siblings.append({"rfilename": file, "size": size, "blobId": sha[:40], "lfs": lfs})
        return web.json_response({"id": name, "sha": repo.commit, "siblings": siblings})

    async def metadata(self, request: web.Request) -> web.Response:
        """Answer with the metadata of a file, and redirect to its bytes."""
        found = self.find_repo(request)
        if isinstance(found, web.Response):
            return found
        repo, name = found
        file = request.match_info["file"]
        if file not in repo.files:
            return error_response(404, "EntryNotFound", "Entry not found")
        path = repo.files[file]
        headers = {
            "X-Repo-Commit": repo.commit,
            "X-Linked-Etag": f'"{repo.hashes.get(file, self.sha256(path))}"',
            "X-Linked-Size": str(repo.sizes.get(file, path.stat().st_size)),
            "ETag": '"something-else"',
            "Location": f"{self.storage}/bytes/{name}/{file}",
        }
        return web.Response(status=302, headers=headers)

    async def content(self, request: web.Request) -> web.StreamResponse:
        """Answer with the bytes of a file, or with the next fault."""
        repo = f"{request.match_info['owner']}/{request.match_info['name']}"
        path = self.repos[repo].files[request.match_info["file"]]
        start = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        authorization = request.headers.get("Authorization")
        self.range_requests.append(RangeRequest(repo, start, authorization))
        fault = self.faults.popleft() if self.faults else self.always
        if fault is not None:
            return await fault(self, request, path, start)
        if self.rate is None and path.stat().st_size > SENDFILE_BYTES:
            return web.FileResponse(path)
        return await send(self, request, path, start)


def error_response(status: int, code: str, message: str) -> web.Response:
    """Return an error in the Hub's form."""
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    return web.json_response({"error": message}, status=status, headers=headers)


def range_response(path: Path, start: int) -> web.StreamResponse:
    """Return a response for the bytes of a file from `start`, without a body yet."""
    size = path.stat().st_size
    response = web.StreamResponse(status=206 if start else 200)
    response.content_length = size - start
    if start:
        response.headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    return response


async def send(
    hub: FakeHub,
    request: web.Request,
    path: Path,
    start: int,
    *,
    stop: int | None = None,
    length: int | None = None,
    total: int | None = None,
) -> web.StreamResponse:
    """Send the bytes from `start`; then close the connection if `stop` is given.

    `length` and `total` are wrong values for Content-Length and the total in Content-Range.
    """
    size = path.stat().st_size
    response = range_response(path, start)
    if length is not None:
        response.content_length = length
    if start and total is not None:
        response.headers["Content-Range"] = f"bytes {start}-{size - 1}/{total}"
    await response.prepare(request)
    if hub.rate and request.transport is not None:
        # A large socket buffer would hold bytes that count as sent.
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK_BYTES)
    range_request = hub.range_requests[-1]
    with path.open("rb") as file:
        file.seek(start)
        left = (size if stop is None else stop) - start
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            await response.write(chunk)
            range_request.sent += len(chunk)
            left -= len(chunk)
            if hub.rate:
                await asyncio.sleep(len(chunk) / hub.rate)
    if stop is not None and request.transport is not None:
        request.transport.close()
    return response


def cut_after(count: int) -> Fault:
    """Close the connection after `count` bytes."""

    async def fault(
        hub: FakeHub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        stop = min(start + count, path.stat().st_size)
        return await send(hub, request, path, start, stop=stop)

    return fault


def stall_after(count: int, seconds: float) -> Fault:
    """Send nothing more after `count` bytes, but leave the connection open."""

    async def fault(
        hub: FakeHub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        response = range_response(path, start)
        await response.prepare(request)
        await response.write(path.read_bytes()[start : start + count])
        await asyncio.sleep(seconds)
        return response

    return fault


def drip(seconds: float) -> Fault:
    """Send 100 bytes per second."""

    async def fault(
        hub: FakeHub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        response = range_response(path, start)
        await response.prepare(request)
        data, end = path.read_bytes(), asyncio.get_event_loop().time() + seconds
        while asyncio.get_event_loop().time() < end:
            await response.write(data[start : start + 1])
            start += 1
            await asyncio.sleep(0.01)
        return response

    return fault


def respond(status: int, **headers: str) -> Fault:
    """Answer with a status and no bytes. Underscores in header names stand for dashes."""

    async def fault(
        hub: FakeHub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, headers=named)

    return fault


def ignore_range() -> Fault:
    """Send the whole file, as a server does that does not support ranges."""

    async def fault(
        hub: FakeHub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        return await send(hub, request, path, 0)

    return fault


def redirect_to_self() -> Fault:
    """Redirect to the same URL."""

    async def fault(
        hub: FakeHub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": str(request.url)})

    return fault


def wrong_length(length: int, total: int | None = None) -> Fault:
    """Send a wrong Content-Length, and a wrong total in Content-Range."""

    async def fault(
        hub: FakeHub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        size = path.stat().st_size
        stop = min(size, start + length) if length < size - start else None
        return await send(hub, request, path, start, length=length, total=total, stop=stop)

    return fault


def send_other(path: Path) -> Fault:
    """Send the bytes of another file."""

    async def fault(hub: FakeHub, request: web.Request, _: Path, start: int) -> web.StreamResponse:
        return await send(hub, request, path, start)

    return fault


@contextmanager
def running(hub: FakeHub, tls: ssl.SSLContext | None = None) -> Iterator[FakeHub]:
    """Serve a hub from a thread until the end of the block."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(hub.app(), access_log=None, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        hub.endpoint = f"{'https' if tls else 'http'}://{host}:{port}"
        hub.storage = hub.endpoint.replace("127.0.0.1", "localhost")

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield hub
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
