"""One server: started, listed, called, and ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import ToolError, XlamError
from ...sanitize import printable
from . import pipe, results, web
from .agreed import Agreed, pending
from .entries import Entry, filled
from .listing import Listed, sorted_out
from .pipe import Pipe

MOST_STARTS = 4
"""How often it is started by itself: once, and again after it has died."""
MOST_PAGES = 50
MOST_LISTED = 16 << 20
"""Characters of all that it tells of its tools."""
MOST_CHANGES = 20
"""How often in a minute a server may change its tools."""
REST = 0.05
"""Seconds between two looks at tools that change."""
INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""What a server learns of its user's environment; tokens are for its entry to name."""


class Server:
    """A server of mcp.json. All that is async runs in the loop of `Servers`."""

    def __init__(self, entry: Entry, agreed: Agreed, logs: Path) -> None:
        self.entry = entry
        self.log = logs / f"{entry.name}.log"
        self.agreed = agreed.tools(entry.name, entry.launch)
        self.listed: dict[str, Listed] | None = None
        """Its tools as it tells them now; None until it was started."""
        self.told: list[str] = []
        """Which of its tools are left out, and why."""
        self.fault = entry.fault
        self.starting = False
        self.starts = 0
        self._client: Any = None
        self._pipe: Pipe | None = None
        self._telling = asyncio.Lock()
        self._life: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._change = asyncio.Event()
        self._changes: list[float] = []
        """When its tools changed in the last minute."""
        self._leave = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether it runs and has told its tools."""
        return self._client is not None

    def unagreed(self) -> list[str]:
        """The tools that it has now and that were not agreed to as they are."""
        now = self.listed if self.listed is not None else {}
        found = pending(self.agreed, now)
        return found["new"] + found["changed"]

    async def start(self) -> None:
        """Start it, if it does not run, and wait until its tools are known or it failed."""
        if self._life is not None and self._up.is_set() and self._client is None:
            await asyncio.wait({self._life}, timeout=10)  # it is ending
        if self._life is None or self._life.done():
            self.starts += 1
            self.fault, self.starting = "", True
            self._up, self._leave = asyncio.Event(), asyncio.Event()
            self._life = asyncio.create_task(self._live())
        waiting = asyncio.create_task(self._up.wait())
        await asyncio.wait({self._life, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def stop(self) -> None:
        """End it, and all that it has started."""
        if self._life is not None and not self._life.done():
            self._leave.set()
            if not self._up.is_set():
                self._life.cancel()
            await asyncio.wait({self._life}, timeout=10)
            self._life.cancel()

    async def call(self, tool: Listed, arguments: Mapping[str, Any]) -> str:
        """Call one of its tools, as it was agreed to.

        Raises:
            ToolError: it does not run, has changed, does not answer in time, or says it failed.
        """
        client = await self._running()
        if self._change.is_set():
            await self._list(client)
        async with self._telling:  # where they are being told anew, by what they are then
            now = (self.listed or {}).get(tool.called)
        if now is None or now.digest != tool.digest:
            raise ToolError(
                f"The server {self.entry.name!r} has changed this tool; its user has to agree to "
                "it again before it can be called."
            )
        try:
            async with asyncio.timeout(self.entry.seconds):
                result = await _called(client, tool.name, arguments)
        except TimeoutError as error:
            raise ToolError(
                f"The server {self.entry.name!r} did not answer within {self.entry.seconds:g} "
                "seconds; the call was cancelled."
            ) from error
        except faults() as error:
            why = await self._death() or sentence(error)
            raise ToolError(f"The server {self.entry.name!r} failed. {why}") from error
        return results.text(result)

    async def _death(self) -> str:
        """Why it has died, once that is known; nothing if it lives."""
        if self._pipe is None or self._life is None:
            return ""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._pipe.ended.wait(), 0.1)
            await asyncio.wait({self._life}, timeout=5)
            return self.fault
        return ""

    async def _running(self) -> Any:
        if self._client is None:
            if self.starts >= MOST_STARTS:
                raise ToolError(
                    f"The server {self.entry.name!r} has ended {self.starts} times and is not "
                    f"started again by itself. {self.fault}"
                )
            await self.start()
        if self._client is None:
            raise ToolError(f"The server {self.entry.name!r} does not run. {self.fault}")
        return self._client

    async def _live(self) -> None:
        """Be connected until it is to leave, or has died."""
        self._pipe = None
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self.entry.start_seconds):
                    client = await stack.enter_async_context(self._connected())
                    await self._list(client)
                self._client, self.starting = client, False
                self._up.set()
                await self._follow(client)
        except faults() as error:
            self.fault = sentence(error)
        finally:
            self._client, self.starting = None, False
        if self._pipe is not None and not self._pipe.left:
            self.fault = self._pipe.why()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        from mcp import Client
        from mcp_types import Implementation

        async def told(message: Any) -> None:
            if type(message).__name__ == "ToolListChangedNotification":
                self._change.set()

        async with self._transport() as transport:
            name = Implementation(name="xlam-local", version="1")
            async with Client(
                transport, client_info=name, message_handler=told, cache=None
            ) as client:
                yield client

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[Any]:
        entry, here = self.entry, os.environ
        if entry.url:
            from mcp.client.streamable_http import streamable_http_client

            headers = {key: filled(value, here) for key, value in entry.headers.items()}
            async with web.client(headers, entry.seconds) as http:
                yield streamable_http_client(filled(entry.url, here), http_client=http)
            return
        environment = {name: here[name] for name in INHERITED if name in here}
        environment |= {key: filled(value, here) for key, value in entry.env.items()}
        command = [filled(word, here) for word in (entry.command, *entry.args)]
        cwd = Path(filled(entry.cwd, here)).expanduser() if entry.cwd else None
        self._pipe = await pipe.start(command, environment, cwd, self.log)
        yield pipe.streams(self._pipe)

    async def _list(self, client: Any) -> None:
        """Learn its tools, as it tells them now."""
        async with self._telling:
            self._change.clear()
            found: list[Listed] = []
            pages: list[str | None] = [None]
            size = 0
            while len(pages) <= MOST_PAGES:
                page = await client.list_tools(cursor=pages[-1])
                size += len(page.model_dump_json())
                if size > MOST_LISTED:
                    raise ToolError(f"It tells more than {MOST_LISTED >> 20} MB of its tools.")
                found += [_listed(tool) for tool in page.tools]
                if not page.next_cursor or page.next_cursor in pages:
                    break
                pages.append(page.next_cursor)
            self.listed, self.told = sorted_out(
                [tool for tool in found if self.entry.offers(tool.name)]
            )

    async def _follow(self, client: Any) -> None:
        """Wait until it is to leave or has died; learn its tools anew when they change."""
        ends = [self._leave, *([self._pipe.ended] if self._pipe else [])]
        waiting = [asyncio.create_task(event.wait()) for event in ends]
        listening = asyncio.create_task(self._listen(client))
        try:
            while True:
                change = asyncio.create_task(self._change.wait())
                await asyncio.wait({*waiting, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                if any(task.done() for task in waiting):
                    return
                if self._change.is_set():
                    async with asyncio.timeout(self.entry.seconds):
                        await self._list(client)
                    if self._restless():
                        self.fault = "It was ended: it changes its tools all the time."
                        return
                    await asyncio.sleep(REST)
        finally:
            self._client = None
            for task in (*waiting, listening):
                task.cancel()
            await asyncio.wait({listening}, timeout=1)

    def _restless(self) -> bool:
        """Whether it has changed its tools too often in the last minute."""
        now = asyncio.get_running_loop().time()
        self._changes = [*(then for then in self._changes if now - then < 60), now]
        return len(self._changes) > MOST_CHANGES

    async def _listen(self, client: Any) -> None:
        """Hear of changes where the protocol tells them only to those who ask for them."""
        with suppress(*faults()):
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._change.set()


async def _called(client: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """What a server answers to a call.

    The library's own way checks it by the server's output schema, whose patterns Python tries for
    as long as they take: one text could stop the whole program.
    """
    from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

    params = CallToolRequestParams(name=name, arguments=dict(arguments))
    return await client.session.send_request(CallToolRequest(params=params), CallToolResult)


def _listed(tool: Any) -> Listed:
    hints = tool.annotations.model_dump(by_alias=True) if tool.annotations else {}
    said = {name: value for name, value in hints.items() if isinstance(value, bool)}
    description = printable(tool.description or "").strip()
    return Listed(tool.name, description, tool.input_schema, said)


def faults() -> tuple[type[BaseException], ...]:
    """What the library raises when a server fails."""
    import anyio
    import httpx2
    from mcp import MCPError

    return (
        XlamError,
        MCPError,
        httpx2.HTTPError,
        OSError,
        ValueError,
        RuntimeError,
        ExceptionGroup,
        anyio.ClosedResourceError,
        anyio.BrokenResourceError,
    )


def sentence(error: BaseException) -> str:
    """What went wrong, in one line."""
    from pydantic import ValidationError

    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ValidationError):
        return f"It answered with what is no {error.title}."
    if isinstance(error, TimeoutError):
        return "It did not tell its tools in time."
    with suppress(IndexError):
        said = printable(str(error).strip().splitlines()[0])[:300].rstrip(".")
        return f"{said}." if said else f"{type(error).__name__}."
    return f"{type(error).__name__}."
