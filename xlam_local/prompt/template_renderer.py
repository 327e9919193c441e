"""Render chat templates in a child process, within limits on time, memory and length."""

from __future__ import annotations

import atexit
import signal
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from ..errors import PromptError
from ..json_lines_process import (
    InvalidMessage,
    Json,
    JsonLinesProcess,
    ProcessEnded,
    python_command,
)

CPU_LIMIT_S = 5.0
MEMORY_LIMIT = 512 << 20
"""Bytes of address space, beyond those of Python and Jinja."""
WALL_LIMIT_S = 120.0
"""For a machine whose cores are busy with other work."""
MAX_ANSWER_BYTES = 128 << 20
WORKER_MODULE = "xlam_local.prompt.template_worker"


class TemplateFailed(Exception):
    """A template raised an error; the message is a phrase."""


class TemplateRenderer:
    """A child process that renders templates. It starts with the first one and is then reused."""

    def __init__(self, cpu_limit_s: float = CPU_LIMIT_S, memory_limit: int = MEMORY_LIMIT) -> None:
        self.cpu_limit_s = cpu_limit_s
        self.memory_limit = memory_limit
        self._process: JsonLinesProcess | None = None
        self._lock = threading.Lock()
        self._first = True

    def start_prompt(self) -> None:
        """Give the renderings until the next call a new limit of CPU time, for all of them."""
        self._first = True

    def render(self, source: str, variables: Mapping[str, Any]) -> str:
        """Return what a template writes.

        Raises:
            TemplateFailed: the template raised an error.
            PromptError: the template takes too much time or memory, or writes too much.
        """
        with self._lock:
            answer = self._answer({"source": source, "variables": variables, "first": self._first})
            self._first = False
        match answer:
            case {"rendered": str(rendered)}:
                return rendered
            case {"limit": str(limit)}:
                raise self._refused(limit)
        raise TemplateFailed(str(answer.get("error")))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _answer(self, request: Json) -> Json:
        try:
            return self._request(request)
        except ProcessEnded as error:
            if error.exit_code != -signal.SIGPROF:
                raise self._refused(f"the process that renders it {error}") from error
            raise self._too_slow() from error
        except (InvalidMessage, TimeoutError) as error:
            raise self._too_slow() from error

    def _request(self, request: Json) -> Json:
        try:
            return self._running().request(request, WALL_LIMIT_S)
        except BaseException:  # also Ctrl-C: the next request must not get the answer to this one
            self.close()
            raise

    def _running(self) -> JsonLinesProcess:
        if self._process is not None and not self._process.alive():
            self.close()
        if self._process is None:
            command = python_command(WORKER_MODULE, str(self.cpu_limit_s), str(self.memory_limit))
            self._process = JsonLinesProcess.start(command, subprocess.DEVNULL, MAX_ANSWER_BYTES)
            atexit.register(self._process.close)
        return self._process

    def _too_slow(self) -> PromptError:
        return self._refused(f"it takes more than {self.cpu_limit_s:g} s of CPU time")

    def _refused(self, reason: str) -> PromptError:
        return PromptError(
            f"The model's chat template cannot be used: {reason}. Use another model file."
        )
