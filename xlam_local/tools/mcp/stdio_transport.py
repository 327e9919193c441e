"""A server that is a program: its process, and the messages through its pipes.

The library's own way to start one reads lines of any length and ends only the process that it
started; here what a server may send is bounded, and its whole process group ends with it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ...errors import ToolError
from ...sanitize import printable
from .. import sandbox

MOST_LINE = 16 << 20
"""Bytes of one message."""
MOST_UNASKED = 32 << 20
"""Bytes that a server may send after our last question to it."""
MOST_MESSAGES = 20_000
"""Messages that it may send after our last one."""
MOST_STRAY = 200
"""Lines that are no messages; some servers say a few words first."""
MOST_LOG = 1 << 20
"""Bytes of its stderr that are kept for each start."""
PATIENCE = 1.0
"""Seconds that a server has to end by itself, and again after it was told to."""


@dataclass(slots=True)
class Pipe:
    """A running server and what it has sent."""

    process: Process
    log: IO[bytes]
    mark: str
    """What it and all that it starts bear in their environment."""
    unasked: int = 0
    messages: int = 0
    stray: int = 0
    first_stray: str = ""
    logged: int = 0
    tail: bytes = b""
    """The end of what it said on stderr."""
    fault: str = ""
    """Why it was cut off, as a sentence."""
    left: bool = False
    """Whether we ended it, and not it itself."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def why(self) -> str:
        """How it ended, as a sentence."""
        if self.fault:
            return self.fault
        code = self.process.returncode
        told = "It ended" if code is None else f"It ended with exit code {code}"
        if self.first_stray:
            return f"{told}; it is no MCP server: it said {self.first_stray!r}."
        words = printable(self.tail.decode("utf-8", "replace")).strip().splitlines()
        said = f"; its last words are {words[-1][-200:].strip()!r}" if words else ""
        return f"{told}{said}; all that it said is in {self.log.name}."

    async def read(self, to: Any) -> None:
        """Hand its messages on, until it ends or sends too much."""
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        assert self.process.stdout is not None
        while line := await self._line(self.process.stdout):
            if not self._bearable(line):
                return
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                self._strayed(line)
                continue
            await to.send(SessionMessage(message))

    async def write(self, source: Any) -> None:
        """Send it our messages."""
        assert self.process.stdin is not None
        async for item in source:
            # An answer to what the server asks is no question of ours.
            if hasattr(item.message, "method"):
                self.unasked = self.messages = 0
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            self.process.stdin.write(text.encode() + b"\n")
            await self.process.stdin.drain()

    async def keep_log(self) -> None:
        """Keep what it says on stderr, up to a limit; the rest is read and dropped."""
        assert self.process.stderr is not None
        while piece := await self.process.stderr.read(65536):
            kept = piece[: max(0, MOST_LOG - self.logged)]
            self.log.write(kept)
            self.log.flush()
            if self.logged < MOST_LOG <= self.logged + len(piece):
                self.log.write(b"\n(It said more, which is not kept.)\n")
            self.logged += len(piece)
            self.tail = (self.tail + piece)[-1000:]

    async def stop(self) -> None:
        """End it and all that it has started."""
        assert self.process.stdin is not None
        self.left = not self.ended.is_set()
        with suppress(OSError):
            self.process.stdin.close()
        for sign in (None, signal.SIGTERM, signal.SIGKILL):
            if sign is not None:
                self._signal(sign)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), PATIENCE)
                break
        self._signal(signal.SIGKILL)
        sandbox.sweep(self.mark, self.process.pid)

    def shut(self) -> None:
        """Close our ends of its pipes, which whoever it has left behind may hold open."""
        if (transport := getattr(self.process, "_transport", None)) is not None:
            transport.close()

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    async def _line(self, stdout: asyncio.StreamReader) -> bytes:
        try:
            return await stdout.readline()
        except ValueError:
            self.fault = f"It was ended: it sent a message of more than {MOST_LINE >> 20} MB."
            return b""

    def _bearable(self, line: bytes) -> bool:
        """Count what it sends; what comes too much ends it."""
        self.unasked += len(line)
        self.messages += 1
        if self.unasked > MOST_UNASKED or self.messages > MOST_MESSAGES:
            self.fault = "It was ended: it flooded us with messages that nobody asked for."
        if self.stray > MOST_STRAY:
            self.fault = f"It is no MCP server: it said {self.first_stray!r}."
        return not self.fault

    def _strayed(self, line: bytes) -> None:
        self.stray += 1
        said = printable(line[:200].decode("utf-8", "replace")).strip()
        self.first_stray = self.first_stray or said[:80]
        self.log.write(b"(stdout) " + line[:1000].rstrip() + b"\n")

    def _signal(self, sign: signal.Signals) -> None:
        # The process leads its group; the group may outlive it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, sign)


async def start(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path | None, log: Path
) -> Pipe:
    """Start a server.

    Raises:
        ToolError: its program cannot be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    file = log.open("wb")
    mark = secrets.token_hex(16)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**environment, sandbox.MARK: mark},
            cwd=cwd,
            start_new_session=True,
            limit=MOST_LINE,
        )
    except FileNotFoundError as error:
        file.close()
        missing = command[0] if cwd is None or cwd.is_dir() else str(cwd)
        raise ToolError(f"There is no {missing!r} here.") from error
    except OSError as error:
        file.close()
        raise ToolError(f"{command[0]!r} cannot be run: {error.strerror}.") from error
    return Pipe(process, file, mark)


@asynccontextmanager
async def streams(pipe: Pipe) -> AsyncIterator[tuple[Any, Any]]:
    """The two streams that the library speaks through; at the end the server is ended."""
    import anyio

    arriving, arrived = anyio.create_memory_object_stream[Any](0)
    leaving, left = anyio.create_memory_object_stream[Any](0)

    async def read() -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            async with arriving:
                await pipe.read(arriving)
        if pipe.fault:
            pipe.kill()
        pipe.ended.set()

    async def write() -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            async with left:
                await pipe.write(left)

    tasks = [asyncio.create_task(work) for work in (read(), write(), pipe.keep_log())]
    try:
        yield arrived, leaving
    finally:
        with anyio.CancelScope(shield=True):
            leaving.close()
            arrived.close()
            await pipe.stop()
            await asyncio.wait({tasks[-1]}, timeout=0.3)  # its last words
            pipe.shut()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            pipe.log.close()
