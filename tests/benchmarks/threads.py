"""Compare the number of threads that xlam-local chooses with fixed ones, beside busy processes.

usage: python -m tests.benchmarks.threads [--model NAME] [--rounds N] [--tokens N] [--busy N]...

Each round writes the same text with each number of threads, one after the other, beside each
number of busy processes. A text that would take more than MAX_SECONDS is short. `chosen` may change
the number while it writes. `llama.cpp's default` is one thread for each core with the waiting time
of libgomp, which is longer than the one that xlam-local sets.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from unittest import mock

from tests.fakes.resources import FILES, fetch
from xlam_local import prompt
from xlam_local.bench import workload
from xlam_local.bench.run import BUSY_COMMAND
from xlam_local.engine import LoadOptions
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.hardware import compute_cores
from xlam_local.types import GenerationEnd, Prompt, Sampling

CONTEXT = 1024
FIRST_TOKENS = 8
MAX_SECONDS = 20.0
CHOSEN = "chosen"
DEFAULT = "llama.cpp's default"
DEFAULT_SPIN = {"GOMP_SPINCOUNT": "300000"}
"""libgomp's own value. https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html"""


def load_all(model: str, stack: ExitStack) -> dict[str, SubprocessEngine]:
    """Load an engine for each number of threads."""
    engines = {CHOSEN: SubprocessEngine.load(fetch(model), LoadOptions(context_size=CONTEXT))}
    for count in range(1, compute_cores() + 1):
        options = LoadOptions(context_size=CONTEXT, threads=count)
        engines[f"{count} fixed"] = SubprocessEngine.load(fetch(model), options)
    with mock.patch.dict(os.environ, DEFAULT_SPIN):
        engines[DEFAULT] = SubprocessEngine.load(fetch(model), options)
    for engine in engines.values():
        stack.enter_context(closing(engine))
    return engines


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run processes that compute."""
    processes = [subprocess.Popen(BUSY_COMMAND) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def write(engine: SubprocessEngine, written: Prompt, tokens: int) -> float:
    """Write a text; return its tokens per second."""
    *_, end = engine.generate(written, None, Sampling(max_tokens=tokens))
    assert isinstance(end, GenerationEnd)
    return end.usage.decode_speed


def speed(engine: SubprocessEngine, tokens: int) -> float:
    """Return the tokens of a text that are written in a second."""
    written = prompt.render([workload.STORY], (), engine.prompt_format)
    first = write(engine, written, FIRST_TOKENS)
    return first if first * MAX_SECONDS < tokens else write(engine, written, tokens)


def show(busy: int, speeds: dict[str, list[float]]) -> None:
    """Print one row for each number of threads."""
    fixed = [name for name in speeds if name.endswith("fixed")]
    best = max(fixed, key=lambda name: statistics.median(speeds[name]))
    for name, values in speeds.items():
        ratios = [chosen / value for chosen, value in zip(speeds[CHOSEN], values, strict=True)]
        mark = " (best fixed)" if name == best else ""
        print(
            f"| {busy} | {name}{mark} | {statistics.median(values):.1f} "
            f"| {min(values):.1f} to {max(values):.1f} | {statistics.median(ratios):.2f} |",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=FILES, default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--busy", type=int, action="append")
    arguments = parser.parse_args()
    print("| busy processes | threads | tokens/s, median | range | chosen / this |")
    print("|---|---|---|---|---|")
    with ExitStack() as stack:
        engines = load_all(arguments.model, stack)
        for busy in arguments.busy or (0, 1, 2):
            speeds: dict[str, list[float]] = {name: [] for name in engines}
            with busy_processes(busy):
                for _ in range(arguments.rounds):
                    for name, engine in engines.items():
                        speeds[name].append(speed(engine, arguments.tokens))
            show(busy, speeds)


if __name__ == "__main__":
    main()
