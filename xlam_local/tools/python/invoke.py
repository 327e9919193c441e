"""A function of a tool, called so that it can neither hang the turn nor write on the screen."""

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

from ..errors import ToolError

log = logging.getLogger(__name__)

Function = Callable[..., object]

_printed: contextvars.ContextVar[io.StringIO | None] = contextvars.ContextVar("printed")


def timed(function: Function, seconds: float) -> Function:
    """The function, run in a thread of its own and left behind after `seconds`.

    Python has no way to end a thread, so one that hangs goes on, unheard.
    """

    @functools.wraps(function)
    def run(**arguments: object) -> object:
        came: list[object] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                came.append(called(function, arguments))
            except BaseException as error:
                failed.append(error)

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,), daemon=True)
        with _printing_aside():
            thread.start()
            thread.join(seconds)
        if failed:
            raise _ours(failed[0])
        if not came:
            raise ToolError(f"It did not end within {seconds:g} seconds, and was left behind.")
        return came[0]

    return run


def called(function: Function, arguments: Mapping[str, object]) -> object:
    """What the function returns, awaited if need be; what it printed if it returns nothing."""
    printed = io.StringIO()
    token = _printed.set(printed)
    value: object = None
    returned = False
    try:
        value = function(**arguments)
        if inspect.isawaitable(value):
            import asyncio

            value = asyncio.run(_awaited(value))
        returned = True
    finally:
        _printed.reset(token)
        text = printed.getvalue()
        if text and not (returned and value is None):
            log.info("%s printed: %s", getattr(function, "__name__", "a tool"), text)
    return text if value is None and text else value


async def _awaited(value: Any) -> object:
    return await value


def _ours(error: BaseException) -> BaseException:
    """The error that a tool's is for the turn: no tool ends the program."""
    if isinstance(error, Exception):
        return error
    return ToolError(f"It tried to end the program ({type(error).__name__}).")


class Aside(io.TextIOBase):
    """A stdout that keeps apart what tools print, and passes on all else."""

    def __init__(self, real: TextIO) -> None:
        self.real = real

    def write(self, text: str) -> int:
        """Write where the one who writes belongs."""
        return (_printed.get(None) or self.real).write(text)

    def flush(self) -> None:
        """Write out what waits."""
        (_printed.get(None) or self.real).flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


_lock = threading.Lock()
_calls = 0


@contextmanager
def _printing_aside() -> Iterator[None]:
    """For as long as tools run, keep what they print off stdout."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _calls  # noqa: PLW0603 -- sys.stdout is one for the whole process too
    with _lock:
        _calls += change
        if _calls and not isinstance(sys.stdout, Aside):
            sys.stdout = Aside(sys.stdout)
        elif not _calls and isinstance(sys.stdout, Aside):
            sys.stdout = sys.stdout.real
