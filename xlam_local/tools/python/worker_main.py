"""The process that runs a Python tool file: it loads the file and answers requests.

Requests and answers are JSON objects, one per line. The first request is the code to load; the
answer lists the tools. Each further request is a call or a preview of one tool.
"""

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

from ...errors import ToolError, ToolFileError
from ...types import Tool
from . import decorator
from .invoke import StdoutRouter, call

log = logging.getLogger(__name__)

MAX_RESULT_CHARS = 1 << 20
"""The longest result; commands have the same limit."""
MAX_ANSWER_CHARS = 6 * MAX_RESULT_CHARS
"""The longest answer: JSON needs six characters at most to escape one."""
PARENT_POLL_S = 1.0

Answer = dict[str, object]


def main() -> None:
    """Answer the requests on stdin until it is closed. The argument is the answers' descriptor."""
    answers = os.fdopen(int(sys.argv.pop(1)), "wb", buffering=0)
    os.set_inheritable(answers.fileno(), False)
    # A tool that reads or closes stdin must not get at the requests.
    requests, sys.stdin = os.fdopen(os.dup(0), "rb"), io.StringIO()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = StdoutRouter(sys.stdout)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    tools: dict[str, Tool] = {}
    pid = os.getpid()
    for number, line in enumerate(requests):
        request = json.loads(line)
        answer = _answer(tools, request) if number else _load(tools, request)
        if os.getpid() != pid:  # a tool that forked returns in both processes
            os._exit(0)
        answers.write(_encode(answer))


def _exit_with_parent(parent_pid: int) -> None:
    """Kill this process group when the parent has exited."""
    while os.getppid() == parent_pid:
        time.sleep(PARENT_POLL_S)
    os.killpg(0, signal.SIGKILL)


def _encode(answer: Answer) -> bytes:
    text = json.dumps(answer)
    if len(text) > MAX_ANSWER_CHARS:
        text = json.dumps(_too_long(len(text)))
    return text.encode() + b"\n"


def _load(tools: dict[str, Tool], code: Mapping[str, str]) -> Answer:
    """Run a tool file, add its tools to `tools`, and return their descriptions.

    A function that cannot be a tool is left out; the answer says why.
    """
    errors: list[str] = []
    decorator.left_out.set(errors)
    try:
        found = call(_find_tools, {"code": code})
        assert isinstance(found, dict)
    except ToolFileError as error:
        return {"error": str(error)}
    except BaseException as error:
        return {"error": f"The file cannot be run: {_describe(error, code['name'])}."}
    listed = []
    for tool in found.values():
        item = _describe_tool(tool)
        try:
            json.dumps(item)
        except (TypeError, ValueError, RecursionError) as error:
            errors.append(f"Tool {tool.name!r} has a description that is not JSON: {error}.")
        else:
            tools[tool.name] = tool
            listed.append(item)
    if not listed:
        return {"error": " ".join(errors) or "No function in it has the decorator @tool."}
    return {"tools": listed, "left_out": errors}


def _find_tools(code: Mapping[str, str]) -> dict[str, Tool]:
    """Run a tool file and return its tools by name."""
    if code["module"]:
        module = importlib.import_module(code["module"])
    else:
        module = types.ModuleType("tools")
        module.__file__ = code["name"]
        sys.modules["tools"] = module  # where dataclasses and pydantic resolve annotations
        exec(compile(code["text"], code["name"], "exec"), module.__dict__)
    tools: dict[str, Tool] = {}
    for name, value in vars(module).items():
        if code["attribute"] not in ("", name):
            continue
        if not isinstance(value, Tool) or value.run is None:
            continue
        if tools.setdefault(value.name, value) is not value:
            raise ToolFileError(f"There are two tools named {value.name!r}.")
    return tools


def _describe_tool(tool: Tool) -> dict[str, object]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "effect": tool.effect.value,
        "timeout": tool.timeout,
        "preview": tool.preview is not None,
    }


def _answer(tools: Mapping[str, Tool], request: Mapping[str, Any]) -> Answer:
    """Call a tool, or its preview."""
    previewed = request.get("preview")
    tool = tools[previewed or request["call"]]
    # `with_timeout` would leave a thread behind; the parent kills this process instead.
    run = tool.preview if previewed else getattr(tool.run, "__wrapped__", tool.run)
    assert run is not None
    _limit_cpu(tool.timeout)
    try:
        value = call(run, request["arguments"])
    except ToolError as error:
        return {"error": str(error)}
    except MemoryError:
        log.exception("%s failed", tool.name)
        return {"error": "The tool ran out of memory; MEMORY_GIB in its file sets the limit."}
    except BaseException as error:
        log.exception("%s failed", tool.name)
        return {"error": _describe(error)}
    return _value_answer(value)


def _limit_cpu(timeout: float) -> None:
    """Let the process use no more CPU time for this call than its timeout."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime + timeout) + 1
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _value_answer(value: object) -> Answer:
    """Return the answer with a value, or with an error if the value is too long."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > MAX_RESULT_CHARS:
        return _too_long(len(value))
    if isinstance(value, (bytes, bytearray)):
        return {"binary": base64.b64encode(value).decode()}
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        value = str(value)
    return {"value": value}


def _too_long(size: int) -> Answer:
    message = (
        f"The result has {size:,} characters; the limit is {MAX_RESULT_CHARS:,}. Ask for less."
    )
    return {"error": message}


def _describe(error: BaseException, file_name: str = "") -> str:
    """Return the type and message of an error, and its line in a file if one is given."""
    message = " ".join(str(error).split())
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if not file_name:
        return text
    lines = [error.lineno] if isinstance(error, SyntaxError) else []
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file_name:
            lines.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    return f"{text} (line {lines[-1]})" if lines else text
