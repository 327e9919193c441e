"""A Hub on this machine: file lists, metadata, redirects to a store of bytes, and faults."""

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
PIECE = 256 << 10


@dataclass
class Repo:
    files: dict[str, Path] = field(default_factory=dict)
    commit: str = COMMIT
    token: str | None = None
    gated: bool = False
    hashes: dict[str, str] = field(default_factory=dict)
    """What the metadata claims, where that is not the truth."""
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass
class Served:
    """One request for bytes: where it began, and how many were handed out."""

    start: int
    sent: int = 0
    authorization: str | None = None


Fault = Callable[["Hub", web.Request, Path, int], Awaitable[web.StreamResponse]]


class Hub:
    """Speaks as much of the Hub's language as a client that fetches GGUF files needs."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: deque[Fault] = deque()
        """What goes wrong with the next requests for bytes, one each."""
        self.always: Fault | None = None
        self.answers: deque[web.Response] = deque()
        """What the next questions are answered with, instead of the truth."""
        self.served: list[Served] = []
        self.asked: list[str] = []
        self.endpoint = ""
        self.rate: float | None = None
        """Bytes a second, when the line is slow."""
        self.store = ""
        """The host that the bytes come from: another than the metadata's, as on the real Hub."""
        self.hashed: dict[tuple[Path, float, int], str] = {}

    def add(self, repo: str, path: Path, name: str | None = None) -> str:
        """Put a file into a repository; its SHA-256."""
        self.repos.setdefault(repo, Repo()).files[name or path.name] = path
        return self.sha256(path)

    def sha256(self, path: Path) -> str:
        stat = path.stat()
        key = (path, stat.st_mtime, stat.st_size)
        if key not in self.hashed:
            with path.open("rb") as file:
                self.hashed[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self.hashed[key]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", self.info)
        app.router.add_route("*", "/{owner}/{name}/resolve/{revision}/{file:.+}", self.resolve)
        app.router.add_get("/bytes/{owner}/{name}/{file:.+}", self.bytes)
        return app

    def found(self, request: web.Request) -> tuple[Repo, str] | web.Response:
        """The repository that is asked for, in whatever case, or why not."""
        self.asked.append(request.path)
        if self.answers:
            return self.answers.popleft()
        wanted = f"{request.match_info['owner']}/{request.match_info['name']}"
        names = {name.casefold(): name for name in self.repos}
        repo = self.repos.get(names.get(wanted.casefold(), ""))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo is None or (repo.token and not repo.gated and not token):
            return refused(401, "RepoNotFound", "Repository not found")
        if token and repo.token and token != repo.token:
            return refused(401, "", "Invalid credentials in Authorization header")
        if repo.gated and token != repo.token and "/resolve/" in request.path:
            return refused(401, "GatedRepo", f"Access to model {wanted} is restricted.")
        if request.match_info["revision"] not in ("main", repo.commit):
            return refused(404, "RevisionNotFound", "Invalid rev id")
        return repo, names[wanted.casefold()]

    async def info(self, request: web.Request) -> web.Response:
        found = self.found(request)
        if isinstance(found, web.Response):
            return found
        repo, name = found
        siblings = []
        for file, path in repo.files.items():
            sha, size = repo.hashes.get(file, self.sha256(path)), path.stat().st_size
            lfs = {"sha256": sha, "size": size, "pointerSize": 135}
            siblings.append({"rfilename": file, "size": size, "blobId": sha[:40], "lfs": lfs})
        return web.json_response({"id": name, "sha": repo.commit, "siblings": siblings})

    async def resolve(self, request: web.Request) -> web.Response:
        found = self.found(request)
        if isinstance(found, web.Response):
            return found
        repo, name = found
        file = request.match_info["file"]
        if file not in repo.files:
            return refused(404, "EntryNotFound", "Entry not found")
        path = repo.files[file]
        headers = {
            "X-Repo-Commit": repo.commit,
            "X-Linked-Etag": f'"{repo.hashes.get(file, self.sha256(path))}"',
            "X-Linked-Size": str(repo.sizes.get(file, path.stat().st_size)),
            "ETag": '"something-else"',
            "Location": f"{self.store}/bytes/{name}/{file}",
        }
        return web.Response(status=302, headers=headers)

    async def bytes(self, request: web.Request) -> web.StreamResponse:
        repo = self.repos[f"{request.match_info['owner']}/{request.match_info['name']}"]
        path = repo.files[request.match_info["file"]]
        start = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        self.served.append(Served(start, 0, request.headers.get("Authorization")))
        fault = self.faults.popleft() if self.faults else self.always
        if fault is not None:
            return await fault(self, request, path, start)
        if self.rate is None and path.stat().st_size > 512 << 20:
            return web.FileResponse(path)
        return await send(self, request, path, start)


def refused(status: int, code: str, message: str) -> web.Response:
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    return web.json_response({"error": message}, status=status, headers=headers)


async def send(
    hub: Hub,
    request: web.Request,
    path: Path,
    start: int,
    *,
    stop: int | None = None,
    length: int | None = None,
    total: int | None = None,
) -> web.StreamResponse:
    """The bytes from `start` on, perhaps not to the end, or under a length that is a lie."""
    size = path.stat().st_size
    response = web.StreamResponse(status=206 if start else 200)
    response.content_length = size - start if length is None else length
    if start:
        response.headers["Content-Range"] = f"bytes {start}-{size - 1}/{total or size}"
    await response.prepare(request)
    if hub.rate and request.transport is not None:
        # What waits in the server's own buffers was sent to nobody.
        line = request.transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE)
    served = hub.served[-1]
    with path.open("rb") as file:
        file.seek(start)
        left = (size if stop is None else stop) - start
        while left > 0 and (piece := file.read(min(PIECE, left))):
            await response.write(piece)
            served.sent += len(piece)
            left -= len(piece)
            if hub.rate:
                await asyncio.sleep(len(piece) / hub.rate)
    if stop is not None and request.transport is not None:
        request.transport.close()
    return response


def cut(after: int) -> Fault:
    """The line goes dead after so many bytes."""

    async def fault(hub: Hub, request: web.Request, path: Path, start: int) -> web.StreamResponse:
        stop = min(start + after, path.stat().st_size)
        return await send(hub, request, path, start, stop=stop)

    return fault


def stalled(after: int, seconds: float) -> Fault:
    """The line stays open, and nothing comes any more."""

    async def fault(hub: Hub, request: web.Request, path: Path, start: int) -> web.StreamResponse:
        size = path.stat().st_size
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = size - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        await response.prepare(request)
        await response.write(path.read_bytes()[start : start + after])
        await asyncio.sleep(seconds)
        return response

    return fault


def dripping(seconds: float) -> Fault:
    """A byte now and then."""

    async def fault(hub: Hub, request: web.Request, path: Path, start: int) -> web.StreamResponse:
        response = web.StreamResponse(status=206 if start else 200)
        size = path.stat().st_size
        response.content_length = size - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        await response.prepare(request)
        data, end = path.read_bytes(), asyncio.get_event_loop().time() + seconds
        while asyncio.get_event_loop().time() < end:
            await response.write(data[start : start + 1])
            start += 1
            await asyncio.sleep(0.01)
        return response

    return fault


def answering(status: int, **headers: str) -> Fault:
    """No bytes, a status."""

    async def fault(hub: Hub, request: web.Request, path: Path, start: int) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, headers=named)

    return fault


def from_zero() -> Fault:
    """A server that knows no ranges."""

    async def fault(hub: Hub, request: web.Request, path: Path, start: int) -> web.StreamResponse:
        return await send(hub, request, path, 0)

    return fault


def lying(length: int, total: int | None = None) -> Fault:
    """A length that is not the file's."""

    async def fault(hub: Hub, request: web.Request, path: Path, start: int) -> web.StreamResponse:
        size = path.stat().st_size
        stop = min(size, start + length) if length < size - start else None
        return await send(hub, request, path, start, length=length, total=total, stop=stop)

    return fault


def other(path: Path, after: int | None = None) -> Fault:
    """Bytes of another file."""

    async def fault(hub: Hub, request: web.Request, _: Path, start: int) -> web.StreamResponse:
        return await send(hub, request, path, start, stop=start + after if after else None)

    return fault


@contextmanager
def running(hub: Hub, tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    """Serve from a thread of its own until the end."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(hub.app(), access_log=None, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        hub.endpoint = f"{'https' if tls else 'http'}://{host}:{port}"
        hub.store = hub.endpoint.replace("127.0.0.1", "localhost")

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
