"""The clients of all servers of mcp.json: their states and tools."""

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
from ...terminal_text import escape_control
from ...types import Tool
from ..sources import MCP_CONFIG_FILE, Source, SourceState
from ..trust import content_hash
from . import launch
from .client import McpClient, McpFolders
from .config import load_servers
from .tool_listing import ListedTool, list_digest, tool_effect
from .trust import TrustedTools, describe_changes

T = TypeVar("T")


@dataclass(slots=True)
class McpClients:
    """The servers of mcp.json, which are started when they are needed."""

    clients: dict[str, McpClient] = field(default_factory=dict)
    trust_store: TrustedTools = field(default_factory=lambda: TrustedTools(Path("mcp-trust.json")))
    fault: str = ""
    """Why mcp.json cannot be read, as a sentence; "" if it can."""
    _differences: dict[str, tuple[Mapping[str, ListedTool], Mapping[str, ListedTool], str, str]] = (
        field(default_factory=dict)
    )
    """For each server its trusted tools, current tools, their differences and digest."""
    _pending: set[Future[Any]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: Thread | None = None
    """The thread of the event loop."""
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(cls, config: Path, state: Path, data: Path, cwd: Path = Path()) -> McpClients:
        """Return the servers in the mcp.json at `config`, without starting them.

        Their stderr is logged in the folder `state`; trusted tools are stored in `data`. Files that
        a command names are those of the working folder `cwd`.
        """
        trusted = TrustedTools(data / "mcp-trust.json")
        folders = McpFolders(cwd.resolve(), state / "mcp", data / "mcp-servers")
        try:
            found = [McpClient(entry, trusted, folders) for entry in load_servers(config)]
        except ToolFileError as error:
            return cls(trust_store=trusted, fault=str(error))
        return cls({server.config.name: server for server in found}, trusted)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return each server as a source, with its state and its current tools.

        `detail` describes all untrusted tools, and `content_hash` identifies that list.
        """
        told = [Source(MCP_CONFIG_FILE, "mcp", "failed", (), self.fault)] if self.fault else []
        return (*told, *(self._source(server) for server in self.clients.values()))

    def start(self, names: Iterable[str] | None = None) -> None:
        """Start the servers (all, or `names`) whose tools are unknown, in the background.

        A server with trusted tools is started at the first call.
        """
        for server in self._enabled(names):
            if not (server.is_connected or server.trusted or server.config.fault):
                server.starting = True
                self._submit(server.start())

    def wait(self, seconds: float) -> None:
        """Wait until no server is starting, for at most `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(s.starting for s in self.clients.values()):
            time.sleep(0.02)

    def changes(self, name: str) -> str:
        """Return all untrusted tools: new ones, and the differences of changed ones."""
        server = self._client(name)
        return describe_changes(server.trusted, server.listed or {})

    def trust(self, name: str, version: str = "") -> None:
        """Trust the tools of a server; start it if it was never started.

        With a `version`, trust them only if the list still has this digest.

        Raises:
            UsageError: the server does not exist, does not start, or has changed its tools.
        """
        server = self._client(name)
        if server.listed is None:
            self._submit(server.start()).result(server.config.start_timeout_s + 10)
        if server.listed is None:
            raise UsageError(f"The server {name!r} does not start. {server.fault}")
        now = dict(server.listed)
        if version not in ("", list_digest(now)):
            raise UsageError(
                f"The server {name!r} changed its tools in the meantime; check them again."
            )
        self.trust_store.trust(name, server.launch, now, server.left_out)
        server.trusted = now

    def restart(self, name: str) -> None:
        """Restart a server in the background."""
        server = self._client(name)
        server.starts = 0

        async def again() -> None:
            await server.stop()
            await server.start()

        server.starting = True
        self._submit(again())

    def close(self) -> None:
        """Stop all servers and their processes."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        atexit.unregister(self.close)
        for call in tuple(self._pending):
            call.cancel()

        async def leave() -> None:
            await asyncio.gather(*(server.stop() for server in self.clients.values()))

        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(leave(), loop).result(15)
        loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join(5)

    def __enter__(self) -> McpClients:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _source(self, server: McpClient) -> Source:
        state, detail = self._state(server)
        tools = tuple(self._tools(server)) if state == "ready" else ()
        unknown = server.config.unknown_keys
        notices = [f"Unknown keys: {', '.join(unknown)}."] if unknown else []
        notices += server.config.notices
        told, version = escape_control(detail), ""
        if state == "untrusted" and server.listed is not None:
            difference, version = self._difference(server, server.listed)
            runs = "\n".join(launch.describe(server.config, server.folders.cwd))
            told += f"\n\n{escape_control(runs)}\n\n{difference}"
        return Source(
            server.config.name,
            "mcp",
            state,
            tools,
            told,
            content_hash=version,
            left_out=tuple(map(escape_control, server.left_out)),
            notices=tuple(map(escape_control, notices)),
        )

    def _difference(self, server: McpClient, now: Mapping[str, ListedTool]) -> tuple[str, str]:
        """Return the differences to the trusted tools, and their digest; cached for each list."""
        before = server.trusted
        known = self._differences.get(server.config.name)
        if known is None or known[0] is not before or known[1] is not now:
            known = (before, now, describe_changes(before, now), list_digest(now))
            self._differences[server.config.name] = known
        return known[2:]

    def _state(self, server: McpClient) -> tuple[SourceState, str]:
        if server.config.disabled:
            return "off", ""
        if server.starting and not server.trusted:
            return "starting", ""
        if server.listed is None:
            return _state_before_start(server)
        if new := server.untrusted():
            some = ", ".join(new[:8]) + (" …" if len(new) > 8 else "")
            return "untrusted", f"Not trusted yet: {len(new)} new or changed tools ({some})."
        again = f"{server.fault} It is restarted at the next call." if server.fault else ""
        return "ready", again

    def _tools(self, server: McpClient) -> Iterable[Tool]:
        now = server.trusted if server.listed is None else server.listed
        return (
            self._tool(server, tool)
            for tool in now.values()
            if tool.model_name in server.trusted and server.config.allows(tool.name)
        )

    def _tool(self, server: McpClient, tool: ListedTool) -> Tool:
        name = server.config.name

        def preview(**arguments: Any) -> str:
            written = json.dumps(arguments, ensure_ascii=False, indent=2)
            return escape_control(f"{server.config.command_line}\n{tool.name} {written}")

        calls: set[Future[str]] = set()
        starting = Lock()  # so that `stop` does not miss a call that has just been sent

        def run(**arguments: Any) -> str:
            with starting:
                call = self._submit(server.call(tool, arguments))
                calls.add(call)
            try:
                return call.result(server.config.timeout_s + server.config.start_timeout_s + 5)
            except (CancelledError, TimeoutError) as error:
                call.cancel()
                raise ToolError(f"The call to the server {name!r} was cancelled.") from error
            finally:
                calls.discard(call)

        def stop() -> None:
            with starting:
                running = tuple(calls)
            for call in running:
                call.cancel()

        does = tool_effect(tool, remote=bool(server.config.url))
        return Tool(
            tool.model_name,
            tool.description,
            tool.schema,
            does,
            run,
            preview,
            source=f"mcp: {name}",
            original_name=tool.name,
            content_hash=content_hash(f"{server.launch}\n{tool.digest}".encode()),
            cancel=stop,
        )

    def _enabled(self, names: Iterable[str] | None) -> list[McpClient]:
        wanted = (
            self.clients if names is None else [self._client(name).config.name for name in names]
        )
        return [self.clients[name] for name in wanted if not self.clients[name].config.disabled]

    def _client(self, name: str) -> McpClient:
        if name not in self.clients:
            there = ", ".join(self.clients) or "none"
            raise UsageError(f"Unknown server {name!r}. Servers: {there}.")
        return self.clients[name]

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        future = asyncio.run_coroutine_threadsafe(work, self._event_loop())
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop, which runs in a thread of its own."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = Thread(target=_run_loop, args=(self._loop,), name="mcp", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            return self._loop


def _state_before_start(server: McpClient) -> tuple[SourceState, str]:
    """Return the state of a server that has not listed its tools yet."""
    if server.fault:
        return "failed", server.fault
    if server.trusted:
        return "ready", ""
    return "untrusted", "It has not been started yet, so its tools are unknown."


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    if left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=5))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
