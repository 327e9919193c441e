"""Measure the rows per second of a batch: with several sequences, and with two servers.

usage: python -m tests.benchmarks.batch [--model NAME] [--category NAME] [--rows N]

The rows are random cases of the Berkeley Function-Calling Leaderboard, each with tools of its own
and tool_choice "required". All models start without a prompt cache, and loading is not measured.
The two servers are `xlam-local serve` on this machine, each with half of the cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from tests.benchmarks.leaderboard import load_cases
from tests.fakes.resources import FILES, fetch
from tests.fakes.serve_process import server
from xlam_local import config
from xlam_local.agent import Engine
from xlam_local.batch import Batch, BatchRow, read_row
from xlam_local.hardware import compute_cores
from xlam_local.model_loading import load_model
from xlam_local.remote.address import DEFAULT_KEY_ENV
from xlam_local.types import Sampling

SEQUENCES = (1, 2, 4)
SERVERS = 2
SETTINGS = config.Config(context=2048, prompt_cache_mib=0)
SAMPLING = Sampling(max_tokens=128)


def read_cases(category: str, count: int) -> list[BatchRow]:
    """Return the rows of a batch."""
    return [
        read_row(
            {
                "custom_id": case["id"],
                "body": {
                    "messages": case["question"][0],
                    "tools": [
                        {"type": "function", "function": function} for function in case["function"]
                    ],
                    "tool_choice": "required",
                },
            },
            case["id"],
        )
        for case, _ in load_cases(category, count)
    ]


def measure(engines: Sequence[Engine], rows: Sequence[BatchRow]) -> tuple[float, int]:
    """Return the rows per second, and the number of rows with calls."""
    started = time.perf_counter()
    results = list(Batch(engines, SAMPLING).run(rows))
    seconds = time.perf_counter() - started
    return len(results) / seconds, sum(bool(result.calls) for result in results)


def serve(stack: ExitStack, model: Path) -> Iterator[Engine]:
    """Start servers, each with a part of the cores, and yield engines that ask them."""
    threads = str(max(1, compute_cores() // SERVERS))
    options = ["--context", str(SETTINGS.context), "--sequences", "1", "--no-prompt-cache"]
    for _ in range(SERVERS):
        _, url, _ = stack.enter_context(server("-m", str(model), "--threads", threads, *options))
        token = config.folders().config / "server-token"
        os.environ[DEFAULT_KEY_ENV] = token.read_text().strip()
        yield load_model(url, SETTINGS)


def run(model: Path, rows: Sequence[BatchRow]) -> None:
    """Measure each way to run the rows, and print a line for it."""
    for count in SEQUENCES:
        with closing(load_model(str(model), SETTINGS, sequences=count)) as engine:
            report(f"{count} sequence{'s' if count > 1 else ''}", measure([engine], rows))
    with ExitStack() as stack:
        report(f"{SERVERS} servers", measure(list(serve(stack, model)), rows))


def report(name: str, measured: tuple[float, int]) -> None:
    """Print a line."""
    speed, with_calls = measured
    print(f"{name:<12} {speed:6.2f} rows/s, {with_calls} with calls", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=sorted(FILES), default="smollm2-135m")
    parser.add_argument("--category", default="simple_python")
    parser.add_argument("--rows", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["XLAM_LOCAL_HOME"] = home
        run(fetch(options.model), read_cases(options.category, options.rows))


if __name__ == "__main__":
    main()
