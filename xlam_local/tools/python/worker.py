"""A child process that loads a Python tool file and runs its calls, one after the other."""

from __future__ import annotations

import base64
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO, Any

from ... import openai_format
from ...atomic_file import open_private
from ...errors import ToolError, ToolFileError
from ...json_lines_process import (
    IMPORT_ROOT,
    InvalidMessage,
    JsonLinesProcess,
    ProcessEnded,
    python_command,
)
from ...types import Effect, Tool
from .. import entry_points
from ..sandbox import process
from ..sandbox.config import Limits, SandboxConfig
from ..sandbox.process import RunningProcess

WORKER_MODULE = "xlam_local.tools.python.worker_main"
WORKER_LIMITS = Limits(cpu_seconds=0)
"""The process runs many calls, so it limits the CPU time of each call itself."""
LOAD_TIMEOUT_S = 30.0
"""How long the file may take to be imported."""
ANSWER_GRACE_S = 0.25
"""How much longer than the tool's timeout to wait for the answer."""


@dataclass(frozen=True, slots=True)
class ToolCode:
    """The code that a worker runs: the text itself, so later changes of the file have no effect."""

    path: str
    text: str
    module: str = ""
    """The module to import from an installed package; empty for a file, whose text is run."""
    attribute: str = ""
    """The name of the only tool to load; empty for all tools."""
    package_hash: str = ""
    """The hash of the package when it was trusted."""


class Worker:
    """The process of one Python tool file. It is started when needed.

    A call that hangs, prints too much or crashes ends the process; the next call starts another.
    """

    def __init__(self, code: ToolCode, sandbox: SandboxConfig, log: Path | None = None) -> None:
        limits = replace(WORKER_LIMITS, memory_bytes=sandbox.limits.memory_bytes)
        self.code = code
        self.sandbox = replace(sandbox, limits=limits)
        self.log = log
        """The file for stdout and stderr; None discards them."""
        self.left_out: list[str] = []
        """Why functions of the file are left out, as sentences."""
        self._running: RunningProcess | None = None
        self._messages: JsonLinesProcess | None = None
        self._lock = threading.Lock()

    def tools(self) -> tuple[Tool, ...]:
        """Run the file and return its tools.

        Raises:
            ToolFileError: the file cannot be run, or has no tools.
        """
        try:
            with self._lock:
                listed = self._start()
            tools = tuple(self._described(listed))
        except ToolError as error:
            raise ToolFileError(f"{self.code.path}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise ToolFileError(
                f"{self.code.path}: The file lists something that is not a tool."
            ) from error
        if not tools:
            self.close()
            raise ToolFileError(f"{self.code.path}: {' '.join(self.left_out)}")
        return tools

    def _described(self, listed: Sequence[Any]) -> Iterator[Tool]:
        """Yield the tools that the process lists, without those whose description is invalid."""
        for number, item in enumerate(listed):
            try:
                yield self._tool(item, f"/{number}")
            except ToolFileError as error:
                self.left_out.append(str(error))

    def close(self) -> None:
        """Stop the process and its descendants."""
        with self._lock:
            self._stop()

    def cancel(self) -> None:
        """Stop the running call, and the process with it. Any thread may call this."""
        if running := self._running:
            running.kill()

    def _tool(self, item: Mapping[str, Any], pointer: str) -> Tool:
        described = {key: item[key] for key in ("name", "description", "parameters")}
        tool = openai_format.tool(described, pointer)
        timeout = float(item["timeout"])

        def run(**arguments: object) -> object:
            return self._call({"call": tool.name, "arguments": arguments}, timeout)

        def preview(**arguments: object) -> str:
            return str(self._call({"preview": tool.name, "arguments": arguments}, timeout))

        return replace(
            tool,
            effect=Effect(item["effect"]),
            run=run,
            preview=preview if item["preview"] else None,
            sandbox=self.sandbox.level,
            network=self.sandbox.network,
            timeout=timeout,
            cancel=self.cancel,
        )

    def _call(self, request: Mapping[str, object], timeout: float) -> object:
        """Call a tool or its preview, starting the process if needed.

        Raises:
            ToolError: the tool failed, did not finish in time, or its process ended.
        """
        with self._lock:
            if self._running is None or self._running.has_exited():
                self._start()
            answer = self._request(request, timeout)
        if "error" in answer:
            raise ToolError(str(answer["error"]))
        if "binary" in answer:
            return base64.b64decode(answer["binary"])
        return answer.get("value")

    def _start(self) -> list[Any]:
        """Start the process, again if it was running, and return its list of tools."""
        self._stop()
        code = self.code
        if code.module:
            package_hash = entry_points.package_hash(Path(code.path), code.module)
            if package_hash != code.package_hash:
                raise ToolError("The package has changed since it was trusted.")
        self._launch()
        request = {"name": code.path, "text": code.text, "module": code.module}
        answer = self._request({**request, "attribute": code.attribute}, LOAD_TIMEOUT_S)
        if "error" in answer:
            self._stop()
            raise ToolError(str(answer["error"]))
        tools = answer.get("tools")
        if not isinstance(tools, list):
            raise ToolError("The tool's process did not list its tools.")
        self.left_out = list(map(str, answer.get("left_out", ())))
        return tools

    def _launch(self) -> None:
        # Answers have a pipe of their own, since a tool can write to stdout.
        read_end, write_end = os.pipe()
        sandbox = replace(self.sandbox, readable=(*self.sandbox.readable, *_python_folders()))
        program = python_command(WORKER_MODULE, str(write_end))
        try:
            with self._log_file() as log:
                running = process.start(program, sandbox, PIPE, log, log, write_end)
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        self._running = running
        # JSON needs six bytes at most for a character.
        max_line_bytes = 6 * self.sandbox.limits.output_bytes + 1024
        self._messages = JsonLinesProcess(
            running.popen, read_end, running.kill, running.end_and_block, max_line_bytes
        )

    @contextmanager
    def _log_file(self) -> Iterator[int | IO[bytes]]:
        """Open the file for the process's stdout and stderr."""
        if self.log is None:
            yield DEVNULL
            return
        try:
            file = open_private(self.log, "wb")
        except OSError as error:
            raise ToolError(f"{self.log} cannot be written: {error.strerror}.") from error
        with file:
            yield file

    def _request(self, request: Mapping[str, object], timeout: float) -> Mapping[str, Any]:
        """Send a request and return its answer. After an error, stop the process.

        Raises:
            ToolError: the process did not answer in time, ended, or sent something else.
        """
        assert self._messages is not None
        try:
            return self._messages.request(request, timeout + ANSWER_GRACE_S)
        except ProcessEnded as error:
            self._stop()
            raise ToolError(f"The tool's process {error} during the call.") from error
        except TimeoutError as error:
            self._stop()
            raise ToolError(f"The tool did not finish within {timeout:g} seconds.") from error
        except InvalidMessage as error:
            self._stop()
            raise ToolError("The tool's process sent an invalid answer.") from error

    def _stop(self) -> None:
        if self._messages is not None:
            self._messages.close()
        self._messages = self._running = None


def _python_folders() -> tuple[Path, ...]:
    """Return the folders that an isolated Python needs to read, wherever it is installed."""
    base_prefix = Path(sys.base_prefix)
    return tuple(sorted({Path(sys.prefix), base_prefix, base_prefix.resolve(), IMPORT_ROOT}))
