"""Measure the overhead of a tool call, in milliseconds.

usage: python -m tests.benchmarks.tool_call_overhead [CALLS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from xlam_local import tools
from xlam_local.tools.declarative.loader import load_tools
from xlam_local.tools.python.worker import ToolCode, Worker
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.tools.sandbox.isolation import unavailable_reason
from xlam_local.types import Effect, Sandbox, Tool

FILE = """
from xlam_local import Effect, tool

@tool(Effect.READ)
def add(a: int, b: int) -> int:
    return a + b
"""


@tools.tool(Effect.READ)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def example_tools(folder: Path) -> Iterator[tuple[str, Tool, dict[str, int]]]:
    """Yield a tool of each kind, with a description and its arguments."""
    yield "function, in process", add, {"a": 1, "b": 2}
    for level in sandbox_levels():
        worker = Worker(ToolCode("add.py", FILE), SandboxConfig(folder, level))
        yield f"file of Python tools, {level.value}", worker.tools()[0], {"a": 1, "b": 2}
        worker.close()
    command = {"tool": [{"name": "true", "command": ["true"]}]}
    for level in sandbox_levels():
        (true,) = load_tools(command, SandboxConfig(folder, level))
        yield f"command, {level.value}", true, {}


def sandbox_levels() -> list[Sandbox]:
    """Return the sandbox levels that this machine supports."""
    levels = (Sandbox.LIMITS, Sandbox.ISOLATED)
    return [level for level in levels if not unavailable_reason(level)]


def measure(tool: Tool, arguments: dict[str, int], calls: int) -> list[float]:
    """Return the milliseconds of each call, after one that is not counted."""
    assert tool.run is not None
    tool.run(**arguments)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        tool.run(**arguments)
        times.append((time.perf_counter() - started) * 1000)
    return times


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{calls} calls each, ms per call      mean  median     p99")
    with tempfile.TemporaryDirectory() as folder:
        for name, tool, arguments in example_tools(Path(folder)):
            times = measure(tool, arguments, calls)
            p99 = statistics.quantiles(times, n=100)[98]
            mean, median = statistics.mean(times), statistics.median(times)
            print(f"{name:32} {mean:6.3f}  {median:6.3f}  {p99:6.3f}")


if __name__ == "__main__":
    main()
