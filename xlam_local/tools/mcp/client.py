"""The client of one server: start, list tools, call, stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ToolError
from ..variables import expand_variables
from . import launch, result_text
from .config import ServerConfig
from .tool_listing import ListedTool, read_tools
from .trust import TrustedTools, untrusted_tools

if TYPE_CHECKING:
    from .stdio_transport import ServerProcess

MAX_STARTS = 4
"""How often a server is started automatically: once, and after each crash."""
MAX_PAGES = 50
MAX_LISTING_CHARS = 16 << 20
"""Characters of a tool list, all pages together."""
MAX_CHANGES_PER_MINUTE = 20
"""How often a server may change its tools within a minute."""
CHANGE_INTERVAL_S = 0.05
"""Seconds between two listings of tools that keep changing."""
EXIT_WAIT_S = 1.0
"""Seconds to wait for the end of a server whose connection is lost, to report the cause."""


@dataclass(frozen=True, slots=True)
class McpFolders:
    """The folders that the clients use."""

    cwd: Path
    """The working folder, in which no server starts unless its entry says so."""
    logs: Path
    servers: Path
    """Has a folder for each server, in which it starts."""


class McpClient:
    """The client of a server of mcp.json. Coroutines run in the loop of `McpClients`."""

    def __init__(
        self, config: ServerConfig, trust_store: TrustedTools, folders: McpFolders
    ) -> None:
        self.config = config
        self.folders = folders
        self.log = folders.logs / f"{config.name}.log"
        self.launch = launch.trusted_launch(config, folders.cwd)
        """What the user trusts besides the tools."""
        self.trusted, self.left_out = trust_store.tools(config.name, self.launch)
        """The trusted tools, and why others are left out, as sentences."""
        self.listed: dict[str, ListedTool] | None = None
        """The server's current tools; None before its first start."""
        self.fault = config.fault
        self.starting = False
        self.starts = 0
        self._client: Any = None
        self._process: ServerProcess | None = None
        self._listing_lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._tools_changed = asyncio.Event()
        self._change_times: list[float] = []
        """When the tools changed, within the last minute."""
        self._stop_requested = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Return whether the server is running and its tools are known."""
        return self._client is not None

    def untrusted(self) -> list[str]:
        """Return the current tools that are not trusted as they are."""
        now = self.listed if self.listed is not None else {}
        found = untrusted_tools(self.trusted, now)
        return found["new"] + found["changed"]

    async def start(self) -> None:
        """Start the server if necessary; wait until its tools are known or it has failed."""
        if self._task is not None and self._ready.is_set() and self._client is None:
            await asyncio.wait({self._task}, timeout=10)  # it is stopping
        if self._task is None or self._task.done():
            self.starts += 1
            self.fault, self.starting = "", True
            self._ready, self._stop_requested = asyncio.Event(), asyncio.Event()
            self._task = asyncio.create_task(self._run())
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def stop(self) -> None:
        """Stop the server and all its processes."""
        if self._task is not None and not self._task.done():
            self._stop_requested.set()
            if not self._ready.is_set():
                self._task.cancel()
            await asyncio.wait({self._task}, timeout=10)
            self._task.cancel()

    async def call(self, tool: ListedTool, arguments: Mapping[str, Any]) -> str:
        """Call a tool that is unchanged since it was trusted.

        Raises:
            ToolError: the server is not running, has changed the tool, times out, or reports an
                error.
        """
        client = await self._connected_client()
        if self._tools_changed.is_set():
            await self._list_tools(client)
        async with self._listing_lock:  # wait for a listing in progress
            now = (self.listed or {}).get(tool.model_name)
        if now is None or now.digest != tool.digest:
            raise ToolError(
                f"The server {self.config.name!r} has changed this tool; the user must trust it "
                "again before it can be called."
            )
        try:
            async with asyncio.timeout(self.config.timeout_s):
                result = await _protocol().call_tool(client, tool.name, arguments)
        except TimeoutError as error:
            raise ToolError(
                f"The server {self.config.name!r} did not answer within {self.config.timeout_s:g} "
                "seconds; the call was cancelled."
            ) from error
        except _protocol().CLIENT_ERRORS as error:
            why = await self._exit_reason() or _protocol().call_error(error)
            raise ToolError(f"The server {self.config.name!r} failed. {why}") from error
        return result_text.result_text(result)

    async def _exit_reason(self) -> str:
        """Return why the server has ended; "" if it is running."""
        if self._process is None or self._task is None:
            return ""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.ended.wait(), EXIT_WAIT_S)
            await asyncio.wait({self._task}, timeout=5)
            return self.fault
        return ""

    async def _connected_client(self) -> Any:
        if self._client is None:
            if self.starts >= MAX_STARTS:
                raise ToolError(
                    f"The server {self.config.name!r} has ended {self.starts} times and is not "
                    f"restarted automatically. {self.fault}"
                )
            await self.start()
        if self._client is None:
            raise ToolError(f"The server {self.config.name!r} is not running. {self.fault}")
        return self._client

    async def _run(self) -> None:
        """Stay connected until the server is stopped or ends."""
        self._process = None
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self.config.start_timeout_s):
                    client = await stack.enter_async_context(self._connect())
                    await self._list_tools(client)
                self._client, self.starting = client, False
                self._ready.set()
                await self._watch(client)
        except _protocol().CLIENT_ERRORS as error:
            self.fault = self._start_fault(error)
        finally:
            self._client, self.starting = None, False
        if self._process is not None and not self._process.stopped_by_us:
            self.fault = self._process.exit_reason()

    def _start_fault(self, error: BaseException) -> str:
        """Return why the server could not be started, or failed later, as a sentence."""
        if isinstance(error, TimeoutError):
            why = (
                "It did not list its tools in time "
                f"({self.config.start_timeout_s:g} seconds; see startTimeout in mcp.json)"
            )
            return "; ".join([why, *(self._process.clues() if self._process else [])]) + "."
        message = str(_protocol().error_message(error))
        is_ours = isinstance(error, ToolError) or not self.config.url
        return message if is_ours else f"{self.config.url}: {message}"

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Any]:
        async with (
            self._transport() as transport,
            _protocol().connect(transport, self._tools_changed.set) as client,
        ):
            yield client

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[Any]:
        entry = self.config
        if entry.url:
            headers = {key: expand_variables(value) for key, value in entry.headers.items()}
            url = expand_variables(entry.url)
            async with _protocol().http_transport(url, headers, entry.timeout_s) as transport:
                yield transport
            return
        cwd = self.folders.cwd
        environment = launch.environment(entry, cwd)
        command = [expand_variables(word) for word in launch.command(entry, cwd)]
        cwd = launch.start_folder(entry, cwd, self.folders.servers / entry.name)
        self._process = await _protocol().start_server(command, environment, cwd, self.log)
        yield _protocol().stdio_transport(self._process)

    async def _list_tools(self, client: Any) -> None:
        """List the server's tools."""
        async with self._listing_lock:
            self._tools_changed.clear()
            found: list[Any] = []
            cursors: list[str | None] = [None]
            size = 0
            while len(cursors) <= MAX_PAGES:
                page, following = await _protocol().list_tools(client, cursors[-1])
                size += len(json.dumps(page))
                if size > MAX_LISTING_CHARS:
                    raise ToolError(f"Its tool list is longer than {MAX_LISTING_CHARS >> 20} MB.")
                found += [tool for tool in page if tool not in found]
                if not following or following in cursors:
                    break
                cursors.append(following)
            _protocol().learn_tools(client, found)
            self.listed, self.left_out = read_tools(found, self.config.allows)
            if len(cursors) > MAX_PAGES:
                self.left_out.append(f"Its tools after page {MAX_PAGES} of its list are left out.")

    async def _watch(self, client: Any) -> None:
        """Wait until the server is stopped or ends; list its tools again when they change."""
        ends = [self._stop_requested, *([self._process.ended] if self._process else [])]
        waiting = [asyncio.create_task(event.wait()) for event in ends]
        listening = asyncio.create_task(self._listen(client))
        try:
            while True:
                change = asyncio.create_task(self._tools_changed.wait())
                await asyncio.wait({*waiting, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                if any(task.done() for task in waiting):
                    return
                if self._tools_changed.is_set():
                    async with asyncio.timeout(self.config.timeout_s):
                        await self._list_tools(client)
                    if self._changes_too_often():
                        self.fault = "Server stopped: it changes its tools too often."
                        return
                    await asyncio.sleep(CHANGE_INTERVAL_S)
        finally:
            self._client = None
            for task in (*waiting, listening):
                task.cancel()
            await asyncio.wait({listening}, timeout=1)

    def _changes_too_often(self) -> bool:
        """Return whether the tools changed too often within the last minute."""
        now = asyncio.get_running_loop().time()
        self._change_times = [*(then for then in self._change_times if now - then < 60), now]
        return len(self._change_times) > MAX_CHANGES_PER_MINUTE

    async def _listen(self, client: Any) -> None:
        """Subscribe to changes of the tool list, as newer protocol versions require."""
        with suppress(*_protocol().CLIENT_ERRORS):
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._tools_changed.set()


def _protocol() -> Any:
    """Return the module that needs the MCP library, whose import takes seconds."""
    from . import protocol

    return protocol
