"""What a call of a trivial tool costs, in milliseconds: python -m tests.overhead [CALLS]."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from xlam_local.tools import sandbox, tool
from xlam_local.tools.described import described
from xlam_local.tools.sandbox import Box
from xlam_local.tools.worker import Code, Worker
from xlam_local.types import Effect, Sandbox, Tool

FILE = """
from xlam_local import Effect, tool

@tool(Effect.READ)
def add(a: int, b: int) -> int:
    return a + b
"""


@tool(Effect.READ)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def kinds(folder: Path) -> Iterator[tuple[str, Tool, dict[str, int]]]:
    """A tool of each kind, by what holds it, and its arguments."""
    yield "function, in the process", add, {"a": 1, "b": 2}
    for level in levels():
        worker = Worker(Code("add.py", FILE), Box(folder, level))
        yield f"file of Python tools, {level.value}", worker.tools()[0], {"a": 1, "b": 2}
        worker.close()
    for level in levels():
        (true,) = described({"tool": [{"name": "true", "command": ["true"]}]}, Box(folder, level))
        yield f"command, {level.value}", true, {}


def levels() -> list[Sandbox]:
    """The levels of sandbox that there are on this machine."""
    return [one for one in (Sandbox.LIMITS, Sandbox.ISOLATED) if not sandbox.available(one)]


def taken(made: Tool, arguments: dict[str, int], calls: int) -> list[float]:
    """Milliseconds of each call."""
    assert made.run is not None
    made.run(**arguments)
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        made.run(**arguments)
        times.append((time.perf_counter() - began) * 1000)
    return times


def main() -> None:
    """Measure and print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{calls} calls each, ms a call        mean  median     p99")
    with tempfile.TemporaryDirectory() as folder:
        for name, made, arguments in kinds(Path(folder)):
            times = taken(made, arguments, calls)
            p99 = statistics.quantiles(times, n=100)[98]
            print(
                f"{name:32} {statistics.mean(times):6.3f}  "
                f"{statistics.median(times):6.3f}  {p99:6.3f}"
            )


if __name__ == "__main__":
    main()
