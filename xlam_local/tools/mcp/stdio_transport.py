"""Run a stdio server: its process, and the messages through its pipes.

The MCP library's `stdio_client` reads lines of any length and stops only the process that it
started. This module limits what a server may send. A supervisor stops all its processes, also when
xlam-local is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from ...atomic_file import open_private
from ...errors import ToolError
from ...terminal_text import escape_control
from ..sandbox import supervisor
from ..sandbox.descendants import RUN_ID_VARIABLE, kill_descendants

MAX_MESSAGE_BYTES = 16 << 20
"""Bytes of one message."""
MAX_UNSOLICITED_BYTES = 32 << 20
"""Bytes that a server may send after our last request."""
MAX_UNSOLICITED_MESSAGES = 20_000
"""Messages that a server may send after our last request."""
MAX_STRAY_LINES = 200
"""Lines that are not messages; some servers print a few at their start."""
MAX_LOG_BYTES = 1 << 20
"""Bytes of stderr that are logged for each start."""
UTF8_BOM = b"\xef\xbb\xbf"
CLOSING_TIMEOUT_S = 0.5
"""How long a server may live on after it has closed its stdout."""
STOP_TIMEOUT_S = 1.0
"""Seconds to wait for a server's end, first after its stdin is closed and then after SIGTERM."""
SUPERVISOR_TIMEOUT_S = STOP_TIMEOUT_S + supervisor.KILL_TIMEOUT_S + 1
"""Seconds that a supervisor may take after SIGTERM."""


@dataclass(slots=True)
class ServerProcess:
    """A running server and what it has sent."""

    process: Process
    """The supervisor of the server; it ends as the server has ended."""
    log: IO[bytes]
    run_id: str
    """A variable in the environment of the server and all its child processes identifies them."""
    unsolicited_bytes: int = 0
    unsolicited_messages: int = 0
    stray_lines: int = 0
    first_stray_line: str = ""
    logged_bytes: int = 0
    stderr_tail: bytes = b""
    """The end of its stderr."""
    fault: str = ""
    """Why it was stopped, as a sentence; "" if it was not."""
    stopped_by_us: bool = False
    """Whether it was stopped by us."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def exit_reason(self) -> str:
        """Return how the server ended, as a sentence."""
        if self.fault:
            return f"{self.fault} Its log is {self.log.name}."
        told = _how_it_ended(self.process.returncode)
        return "; ".join([told, *self.clues()]) + "."

    def clues(self) -> list[str]:
        """Return what it wrote that may tell a cause, and where its log is."""
        words = escape_control(self.stderr_tail.decode("utf-8", "replace")).strip().splitlines()
        said = [f"the last line of its stderr is {words[-1][-200:].strip()!r}"] if words else []
        if self.first_stray_line:
            said.append(f"its first line on stdout, {self.first_stray_line!r}, is no MCP message")
        return [*said, f"its log is {self.log.name}"]

    async def read(self, to: Any) -> None:
        """Forward the server's messages until it ends or sends too much."""
        assert self.process.stdout is not None
        while line := await self._read_line(self.process.stdout):
            line = line.removeprefix(UTF8_BOM)  # .NET writes one before the first message
            if not self._within_limits(line):
                return
            message = _parse_message(line)
            if message is None:
                self._log_stray(line)
            else:
                await to.send(SessionMessage(message))

    async def note_end(self) -> None:
        """Note that its stdout has ended, and whether the server lives on."""
        if not (self.fault or self.stopped_by_us or await self.ends_within(CLOSING_TIMEOUT_S)):
            self.fault = "Server stopped: it closed its stdout, where its answers are read."
        if not self.stopped_by_us:
            self.ended.set()

    async def write(self, source: Any) -> None:
        """Send messages to the server."""
        assert self.process.stdin is not None
        async for item in source:
            # A response to the server's own request does not reset the limits.
            if hasattr(item.message, "method"):
                self.unsolicited_bytes = self.unsolicited_messages = 0
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            self.process.stdin.write(text.encode() + b"\n")
            await self.process.stdin.drain()

    async def copy_stderr(self) -> None:
        """Log stderr up to a limit; the rest is read and dropped."""
        assert self.process.stderr is not None
        while piece := await self.process.stderr.read(65536):
            kept = piece[: max(0, MAX_LOG_BYTES - self.logged_bytes)]
            self.log.write(kept)
            self.log.flush()
            if self.logged_bytes < MAX_LOG_BYTES <= self.logged_bytes + len(piece):
                self.log.write(b"\n(The rest of stderr is not logged.)\n")
            self.logged_bytes += len(piece)
            self.stderr_tail = (self.stderr_tail + piece)[-1000:]

    async def stop(self) -> None:
        """Stop the server and all its processes."""
        assert self.process.stdin is not None
        self.stopped_by_us = not self.ended.is_set()
        with suppress(OSError):
            self.process.stdin.close()
        if not await self.ends_within(STOP_TIMEOUT_S):
            self._signal(signal.SIGTERM)
            if not await self.ends_within(SUPERVISOR_TIMEOUT_S):  # the server has stopped it
                self._signal(signal.SIGKILL)
        if await self.process.wait() == -signal.SIGKILL:
            kill_descendants(self.run_id, self.process.pid)

    def close_pipes(self) -> None:
        """Close our ends of the pipes, which processes that it left behind may keep open."""
        if (transport := getattr(self.process, "_transport", None)) is not None:
            transport.close()

    def kill(self) -> None:
        """Kill the server and all its processes."""
        self._signal(signal.SIGQUIT)

    async def ends_within(self, seconds: float) -> bool:
        """Return whether the process ends within some seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), seconds)
            return True
        return False

    async def _read_line(self, stdout: asyncio.StreamReader) -> bytes:
        try:
            return await stdout.readline()
        except ValueError:
            self.fault = (
                f"Server stopped: it sent a message of more than {MAX_MESSAGE_BYTES >> 20} MB."
            )
            return b""

    def _within_limits(self, line: bytes) -> bool:
        """Count what the server sends; return whether it is within the limits."""
        self.unsolicited_bytes += len(line)
        self.unsolicited_messages += 1
        if (
            self.unsolicited_bytes > MAX_UNSOLICITED_BYTES
            or self.unsolicited_messages > MAX_UNSOLICITED_MESSAGES
        ):
            self.fault = "Server stopped: too many unsolicited messages."
        if self.stray_lines > MAX_STRAY_LINES:
            self.fault = f"It is not an MCP server; it printed {self.first_stray_line!r}."
        return not self.fault

    def _log_stray(self, line: bytes) -> None:
        self.stray_lines += 1
        said = escape_control(line[:200].decode("utf-8", "replace")).strip()
        self.first_stray_line = self.first_stray_line or said[:80]
        self.log.write(b"(stdout) " + line[:1000].rstrip() + b"\n")

    def _signal(self, sign: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(sign)


def _parse_message(line: bytes) -> Any:
    """Return a message, or None if it is not one. A result that is no object is put into one."""
    try:
        return jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        pass
    try:
        answer = json.loads(line)
        if not isinstance(answer, dict) or "result" not in answer or "id" not in answer:
            return None
        result = answer["result"]
        answer["result"] = {} if result is None else {"content": result}
        return jsonrpc_message_adapter.validate_python(answer, by_name=False)
    except (ValueError, RecursionError):
        return None


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "It ended"
    if code >= 0:
        return f"It ended with exit code {code}"
    names = {sign.value: sign.name for sign in signal.Signals}
    return f"It was killed by {names.get(-code, f'signal {-code}')}"


async def start(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path | None, log: Path
) -> ServerProcess:
    """Start a server.

    Raises:
        ToolError: its program does not exist or cannot be run.
    """
    program = _find_program(command[0], environment, cwd or Path.cwd())
    supervised = supervisor.command_line(os.getpid(), [program, *command[1:]], STOP_TIMEOUT_S)
    file = open_private(log, "wb")
    mark = secrets.token_hex(16)
    try:
        process = await asyncio.create_subprocess_exec(
            *supervised,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**environment, RUN_ID_VARIABLE: mark},
            cwd=cwd,
            start_new_session=True,
            limit=MAX_MESSAGE_BYTES,
        )
    except OSError as error:
        file.close()
        raise ToolError(f"{command[0]!r} cannot be run: {error.strerror}.") from error
    return ServerProcess(process, file, mark)


def _find_program(name: str, environment: Mapping[str, str], cwd: Path) -> str:
    """Return the file of a server's program: on its PATH, or relative to `cwd` if it has a slash.

    Raises:
        ToolError: it does not exist or cannot be run.
    """
    if not cwd.is_dir():
        raise ToolError(f"The folder {str(cwd)!r} was not found.")
    file = cwd / name
    path = os.pathsep.join(os.get_exec_path(environment))
    if found := shutil.which(str(file) if "/" in name else name, path=path):
        return found
    if "/" in name and file.exists():
        raise ToolError(f"{name!r} cannot be run: it is not an executable file.")
    program, *words = name.split()
    if words and shutil.which(program, path=path):
        raise ToolError(f"{name!r} was not found; put the arguments of {program!r} into args.")
    raise ToolError(f"{name!r} was not found.")


@asynccontextmanager
async def streams(pipe: ServerProcess) -> AsyncIterator[tuple[Any, Any]]:
    """Return the two streams for the MCP library; stop the server on exit."""
    arriving, arrived = anyio.create_memory_object_stream[Any](0)
    leaving, left = anyio.create_memory_object_stream[Any](0)

    async def read() -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            async with arriving:
                await pipe.read(arriving)
                await pipe.note_end()  # before the client is told, who then stops the server
        if pipe.fault:
            pipe.kill()
        pipe.ended.set()

    async def write() -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            async with left:
                await pipe.write(left)

    tasks = [asyncio.create_task(work) for work in (read(), write(), pipe.copy_stderr())]
    try:
        yield arrived, leaving
    finally:
        with anyio.CancelScope(shield=True):
            leaving.close()
            arrived.close()
            await pipe.stop()
            await asyncio.wait({tasks[-1]}, timeout=0.3)  # the rest of its stderr
            pipe.close_pipes()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            pipe.log.close()
