"""Call a tool function with a timeout and captured stdout."""

from __future__ import annotations

import contextvars
import functools
import inspect
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from ...errors import ToolError

log = logging.getLogger(__name__)

Function = Callable[..., object]

_captured: contextvars.ContextVar[io.StringIO | None] = contextvars.ContextVar("captured")
"""The stdout of the tool that runs in this context; unset outside of tools."""


def with_timeout(function: Function, timeout: float) -> Function:
    """Return a function that runs `function` in a thread and waits `timeout` seconds at most.

    Python cannot stop a thread, so a function that hangs keeps running in the background.
    """

    @functools.wraps(function)
    def run(**arguments: object) -> object:
        results: list[object] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(call(function, arguments))
            except BaseException as error:
                errors.append(error)

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,), daemon=True)
        with _routed_stdout():
            thread.start()
            thread.join(timeout)
        if errors:
            raise _as_exception(errors[0])
        if not results:
            raise ToolError(f"The tool did not finish within {timeout:g} seconds.")
        return results[0]

    return run


def call(function: Function, arguments: Mapping[str, object]) -> object:
    """Call a function and return its value, awaited if needed; if it is None, what it printed.

    stdout must be a `StdoutRouter`. What a function printed that returns a value is logged.
    """
    captured = io.StringIO()
    token = _captured.set(captured)
    value: object = None
    returned = False
    try:
        value = function(**arguments)
        if inspect.isawaitable(value):
            import asyncio  # takes a third of a worker's start, and few tools are async

            value = asyncio.run(_await(value))
        returned = True
    finally:
        _captured.reset(token)
        text = captured.getvalue()
        if text and not (returned and value is None):
            log.info("%s printed: %s", getattr(function, "__name__", "a tool"), text)
    return text if value is None and text else value


async def _await(value: Any) -> object:
    return await value


def _as_exception(error: BaseException) -> Exception:
    """Turn SystemExit and the like into a ToolError: a tool must not end the program."""
    if isinstance(error, Exception):
        return error
    return ToolError(f"The tool tried to end the program ({type(error).__name__}).")


class StdoutRouter(io.TextIOBase):
    """A stdout that captures what tools print and passes on everything else."""

    def __init__(self, real: TextIO) -> None:
        self.real = real

    def write(self, text: str) -> int:
        """Write to the running tool's buffer, or to the real stdout."""
        return self._target().write(text)

    def flush(self) -> None:
        """Flush what was written."""
        self._target().flush()

    def _target(self) -> TextIO:
        return _captured.get(None) or self.real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


_lock = threading.Lock()
_active_calls = 0


@contextmanager
def _routed_stdout() -> Iterator[None]:
    """Replace sys.stdout by a router while at least one tool runs."""
    _count_calls(1)
    try:
        yield
    finally:
        _count_calls(-1)


def _count_calls(change: int) -> None:
    global _active_calls  # noqa: PLW0603 -- sys.stdout is global too
    with _lock:
        _active_calls += change
        if _active_calls and not isinstance(sys.stdout, StdoutRouter):
            sys.stdout = StdoutRouter(sys.stdout)
        elif not _active_calls and isinstance(sys.stdout, StdoutRouter):
            sys.stdout = sys.stdout.real
