"""Validate one tool call, get it approved and run it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from threading import Thread

from .. import schema
from ..errors import ToolError
from ..types import AllowEdited, Approve, Deny, Heartbeat, Tool, ToolCall, ToolResult
from .truncation import result_text

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 0.1
"""Seconds between two heartbeats while a tool runs."""


def validate_call(call: ToolCall, tools: Mapping[str, Tool]) -> str:
    """Return what is wrong with a call, for the model to read; empty if the call is valid.

    `tools` are the offered tools by name.
    """
    if call.name not in tools:
        return f"There is no tool {call.name!r}; the tools are {', '.join(tools)}."
    problems = schema.validate(call.arguments, tools[call.name].parameters)
    return f"The arguments are invalid: {' '.join(problems)}" if problems else ""


def run_call(
    tool: Tool, call: ToolCall, approve: Approve
) -> Generator[Heartbeat, None, ToolResult]:
    """Run a valid call if it is approved, and return its result.

    Every failure becomes a result that the model reads. Closing the generator cancels the call.
    """
    if tool.run is None:
        return ToolResult(call, "Not run, because another call of this reply is invalid.", ok=False)
    written = call
    try:
        decision = approve(tool, call)
        while isinstance(decision, AllowEdited) and decision.arguments != call.arguments:
            call = replace(call, arguments=decision.arguments)
            if problem := validate_call(call, {tool.name: tool}):
                return ToolResult(call, f"{_edited(written, call)}{problem}", ok=False)
            decision = approve(tool, call)
        if isinstance(decision, Deny):
            reason = f" Reason: {decision.reason}" if decision.reason else ""
            return ToolResult(call, f"The user refused this call.{reason}", ok=False, refused=True)
        value = yield from run_in_thread(partial(tool.run, **call.arguments))
        return ToolResult(call, f"{_edited(written, call)}{result_text(value)}")
    except GeneratorExit:
        if tool.cancel is not None:
            tool.cancel()
        raise
    except ToolError as error:
        return ToolResult(call, f"{_edited(written, call)}{error}", ok=False)
    except Exception as error:
        log.exception("tool %s failed", tool.name)
        problem = f"{type(error).__name__}: {error}"
        return ToolResult(call, f"{_edited(written, call)}{problem}", ok=False)


def _edited(written: ToolCall, call: ToolCall) -> str:
    """Return what the model reads before the result of a call whose arguments the user edited."""
    if call.arguments == written.arguments:
        return ""
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return f"The user changed the arguments of this call to {arguments}. The result:\n"


def run_in_thread(function: Callable[[], object]) -> Generator[Heartbeat, None, object]:
    """Run a function in a daemon thread and return its value.

    The caller can stop waiting at each heartbeat; the thread then runs on.
    """
    done: Future[object] = Future()

    def work() -> None:
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=work, name="tool", daemon=True).start()
    while True:
        try:
            return done.result(HEARTBEAT_INTERVAL_S)
        except TimeoutError:
            # The function may have raised a TimeoutError of its own.
            if done.done():
                raise
            yield Heartbeat()
