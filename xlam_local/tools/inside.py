"""What runs inside a worker's process: it loads a file of tools and answers for it."""

from __future__ import annotations

import base64
import importlib
import io
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
import types
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..errors import ToolError, ToolFileError
from ..types import Tool
from .running import Aside, called

log = logging.getLogger(__name__)

MOST = 1 << 20
"""The most characters of a result: the same as a command may say."""


def main() -> None:
    """Answer questions, a line each, until there are no more."""
    answers = os.fdopen(int(sys.argv.pop(1)), "wb", buffering=0)
    os.set_inheritable(answers.fileno(), False)
    # A tool that reads or closes stdin shall not meet the questions there.
    questions, sys.stdin = os.fdopen(os.dup(0), "rb"), io.StringIO()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = Aside(sys.stdout)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    tools: dict[str, Tool] = {}
    itself = os.getpid()
    for number, line in enumerate(questions):
        question = json.loads(line)
        answer = _answer(tools, question) if number else _loaded(tools, question)
        if os.getpid() != itself:  # a tool that forked returns twice
            os._exit(0)
        answers.write(_line(answer))


def _follow(parent: int) -> None:
    """End this process with all that it has started once the one that wants it is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def _line(answer: Mapping[str, object]) -> bytes:
    text = json.dumps(answer)
    if len(text) > 6 * MOST:
        text = json.dumps(_too_much(len(text)))
    return text.encode() + b"\n"


def _loaded(tools: dict[str, Tool], code: Mapping[str, str]) -> dict[str, object]:
    """Run a file of tools and tell what it has."""
    try:
        found = called(_found, {"code": code})
        assert isinstance(found, dict)
    except ToolFileError as error:
        return {"error": str(error)}
    except BaseException as error:
        return {"error": f"it cannot be run: {_words(error)}{_place(error, code['name'])}."}
    if not found:
        return {"error": "no function in it is marked with @tool."}
    tools.update(found)
    told = [_described(tool) for tool in found.values()]
    try:
        json.dumps(told)
    except (TypeError, ValueError, RecursionError) as error:
        return {"error": f"what it tells of its tools is not JSON: {error}."}
    return {"tools": told}


def _found(code: Mapping[str, str]) -> dict[str, Tool]:
    """The tools of a file, by their names."""
    if code["module"]:
        module = importlib.import_module(code["module"])
    else:
        module = types.ModuleType("tools")
        module.__file__ = code["name"]
        sys.modules["tools"] = module  # where dataclasses and pydantic look names up
        exec(compile(code["text"], code["name"], "exec"), module.__dict__)
    values = vars(module).items()
    wanted = [value for name, value in values if code["attribute"] in ("", name)]
    found: dict[str, Tool] = {}
    for one in wanted:
        if not isinstance(one, Tool) or one.run is None:
            continue
        if found.setdefault(one.name, one) is not one:
            raise ToolFileError(f"there are two tools named {one.name!r}.")
    return found


def _described(tool: Tool) -> dict[str, object]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "effect": tool.effect.value,
        "seconds": tool.seconds,
        "preview": tool.preview is not None,
    }


def _answer(tools: Mapping[str, Tool], question: Mapping[str, Any]) -> dict[str, object]:
    previewed = question.get("preview")
    tool = tools[previewed or question["call"]]
    # Python's own time limit would leave a thread behind; here the whole process is ended.
    run = tool.preview if previewed else getattr(tool.run, "__wrapped__", tool.run)
    assert run is not None
    _limit_cpu(tool.seconds)
    try:
        value = called(run, question["arguments"])
    except ToolError as error:
        return {"error": str(error)}
    except MemoryError:
        log.exception("%s failed", tool.name)
        return {"error": "It ran out of the memory that it may use."}
    except BaseException as error:
        log.exception("%s failed", tool.name)
        return {"error": _words(error)}
    return _told(value)


def _limit_cpu(seconds: float) -> None:
    """Let the call use as much CPU time as it may take in all."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _told(value: object) -> dict[str, object]:
    """A value as an answer; what is too large is told instead."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > MOST:
        return _too_much(len(value))
    if isinstance(value, (bytes, bytearray)):
        return {"binary": base64.b64encode(value).decode()}
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        value = str(value)
    return {"value": value}


def _too_much(size: int) -> dict[str, object]:
    told = f"The result has {size:,} characters; at most {MOST:,} can be taken. Ask for less."
    return {"error": told}


def _words(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _place(error: BaseException, name: str) -> str:
    """The line of the file at which an error came up, as part of a sentence."""
    lines = [] if not isinstance(error, SyntaxError) else [error.lineno]
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""
