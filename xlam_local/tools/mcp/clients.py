"""The servers of mcp.json: what state each is in, and the tools that they offer."""

from __future__ import annotations

import asyncio
import atexit
import json
import time
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

from ...errors import ToolError, ToolFileError, UsageError
from ...sanitize import printable
from ...types import Tool
from ..types import Source, State
from .agreed import Agreed, changes
from .entries import load
from .listing import Listed, effect, known_by
from .server import Server

T = TypeVar("T")
FILE = "mcp.json"


@dataclass(slots=True)
class Servers:
    """The servers that the user has written down, started when they are wanted."""

    servers: dict[str, Server] = field(default_factory=dict)
    agreed: Agreed = field(default_factory=lambda: Agreed(Path("mcp-agreed.json")))
    fault: str = ""
    """Why the file cannot be read, as a sentence."""
    _written: dict[str, tuple[Mapping[str, Listed], Mapping[str, Listed], str, str]] = field(
        default_factory=dict
    )
    """For each server what was agreed to, its tools, how they differ, and their version."""
    _running: set[Future[Any]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None
    _beside: Thread | None = None
    """The thread of the loop."""
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(cls, config: Path, state: Path, data: Path) -> Servers:
        """The servers in the mcp.json at `config`; none of them is started yet.

        Their stderr goes to the folder `state`; what was agreed to is kept in the folder `data`.
        """
        agreed = Agreed(data / "mcp-agreed.json")
        try:
            found = [Server(entry, agreed, state / "mcp") for entry in load(config)]
        except ToolFileError as error:
            return cls(agreed=agreed, fault=str(error))
        return cls({server.entry.name: server for server in found}, agreed)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Each server with its state and its tools now.

        What there is to agree to is in `detail`, whole, and known by `version`.
        """
        told = [Source(FILE, "mcp", "failed", (), self.fault)] if self.fault else []
        return (*told, *(self._source(server) for server in self.servers.values()))

    def start(self, names: Iterable[str] | None = None) -> None:
        """Start the servers in the background whose tools are not known, of all or of `names`.

        One whose tools were agreed to is started at the first call of one of them.
        """
        for server in self._named(names):
            if not (server.up or server.agreed or server.entry.fault):
                server.starting = True
                self._begin(server.start())

    def wait(self, seconds: float) -> None:
        """Wait until no server is starting, at most so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(s.starting for s in self.servers.values()):
            time.sleep(0.02)

    def changes(self, name: str) -> str:
        """What there is to agree to, whole: new tools, and how others differ from before."""
        server = self._one(name)
        return changes(server.agreed, server.listed or {})

    def agree(self, name: str, version: str = "") -> None:
        """Agree to the tools of a server; it is started if it never was.

        With a `version`, only where that is what it has now.

        Raises:
            UsageError: there is no such server, it does not start, or it has changed since.
        """
        server = self._one(name)
        if server.listed is None:
            self._begin(server.start()).result(server.entry.start_seconds + 10)
        if server.listed is None:
            raise UsageError(f"The server {name!r} does not start. {server.fault}")
        now = dict(server.listed)
        if version not in ("", known_by(now)):
            raise UsageError(f"The server {name!r} has changed its tools since; look again.")
        self.agreed.agree(name, server.entry.launch, now)
        server.agreed = now

    def restart(self, name: str) -> None:
        """End a server and start it anew, in the background."""
        server = self._one(name)
        server.starts = 0

        async def again() -> None:
            await server.stop()
            await server.start()

        server.starting = True
        self._begin(again())

    def close(self) -> None:
        """End all servers, and all that they have started."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        atexit.unregister(self.close)
        for call in tuple(self._running):
            call.cancel()

        async def leave() -> None:
            await asyncio.gather(*(server.stop() for server in self.servers.values()))

        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(leave(), loop).result(15)
        loop.call_soon_threadsafe(loop.stop)
        if self._beside is not None:
            self._beside.join(5)

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _source(self, server: Server) -> Source:
        state, detail = self._state(server)
        tools = tuple(self._tools(server)) if state == "ready" else ()
        notes = [detail, *server.told]
        if server.entry.unknown:
            notes.append(f"Not known here: {', '.join(server.entry.unknown)}.")
        told = printable(" ".join(filter(None, notes)))
        version = ""
        if state == "not agreed" and server.listed is not None:
            difference, version = self._difference(server, server.listed)
            told += f"\n\n{difference}"
        return Source(server.entry.name, "mcp", state, tools, told, version=version)

    def _difference(self, server: Server, now: Mapping[str, Listed]) -> tuple[str, str]:
        """What there is to agree to, and its version: written once for each list, as it is long."""
        before = server.agreed
        known = self._written.get(server.entry.name)
        if known is None or known[0] is not before or known[1] is not now:
            known = (before, now, changes(before, now), known_by(now))
            self._written[server.entry.name] = known
        return known[2:]

    def _state(self, server: Server) -> tuple[State, str]:
        if server.entry.disabled:
            return "off", ""
        if server.starting and not server.agreed:
            return "starting", ""
        if server.listed is None:
            return _unseen(server)
        if new := server.unagreed():
            some = ", ".join(new[:8]) + (" …" if len(new) > 8 else "")
            return "not agreed", f"Not agreed to: {len(new)} new or changed tools ({some})."
        again = f"{server.fault} It is started anew at the next call." if server.fault else ""
        return "ready", again

    def _tools(self, server: Server) -> Iterable[Tool]:
        now = server.agreed if server.listed is None else server.listed
        return (
            self._tool(server, tool)
            for tool in now.values()
            if tool.called in server.agreed and server.entry.offers(tool.name)
        )

    def _tool(self, server: Server, tool: Listed) -> Tool:
        name = server.entry.name

        def preview(**arguments: Any) -> str:
            written = json.dumps(arguments, ensure_ascii=False, indent=2)
            return printable(f"{server.entry.launch}\n{tool.name} {written}")

        calls: set[Future[str]] = set()

        def run(**arguments: Any) -> str:
            call = self._begin(server.call(tool, arguments))
            calls.add(call)
            try:
                return call.result(server.entry.seconds + server.entry.start_seconds + 5)
            except (CancelledError, TimeoutError) as error:
                call.cancel()
                raise ToolError(f"The call to the server {name!r} was cancelled.") from error
            finally:
                calls.discard(call)

        def stop() -> None:
            for call in tuple(calls):
                call.cancel()

        does = effect(tool, remote=bool(server.entry.url))
        return Tool(
            tool.called,
            tool.description,
            tool.schema,
            does,
            run,
            preview,
            source=f"mcp: {name}",
            stop=stop,
        )

    def _named(self, names: Iterable[str] | None) -> list[Server]:
        wanted = self.servers if names is None else [self._one(name).entry.name for name in names]
        return [self.servers[name] for name in wanted if not self.servers[name].entry.disabled]

    def _one(self, name: str) -> Server:
        if name not in self.servers:
            there = ", ".join(self.servers) or "none"
            raise UsageError(f"There is no server {name!r}; there are: {there}.")
        return self.servers[name]

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        future = asyncio.run_coroutine_threadsafe(work, self._thread())
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def _thread(self) -> asyncio.AbstractEventLoop:
        """The loop that the servers live in, in a thread of its own."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._beside = Thread(target=_run, args=(self._loop,), name="mcp", daemon=True)
                self._beside.start()
                atexit.register(self.close)
            return self._loop


def _unseen(server: Server) -> tuple[State, str]:
    """The state of a server whose tools are not known from itself yet."""
    if server.fault:
        return "failed", server.fault
    if server.agreed:
        return "ready", ""
    return "not agreed", "It has not been started yet, so its tools are not known."


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    if left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=5))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
