"""Compare one KV cache that all sequences share with one cache for each sequence.

usage: python -m tests.benchmarks.kv_cache [--model NAME] [--rounds N]

Four clients offer the same tools and ask different questions, first with an empty cache (cold) and
then other questions (warm). With a cache of its own, a sequence cannot share a prefix: llama.cpp
copies only whole sequences between caches, so that each sequence reads the tools itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from unittest import mock

from tests.benchmarks.sequences import CONTEXT, RULES, SAMPLING, requests
from tests.fakes.resources import FILES, fetch
from xlam_local.engine import LoadOptions, llama_context, sequence_pool
from xlam_local.engine.grammar_text import GrammarSerializer
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.types import Prompt

CLIENTS = 4


def write_all(engine: LocalEngine, written: Sequence[Prompt]) -> float:
    """Write a reply to each prompt at once; return the seconds."""
    started = time.perf_counter()
    serializer = GrammarSerializer(engine.options.grammar_backend, lambda: False)
    grammar = serializer.serialize(RULES)
    replies = [engine.submit(prompt, grammar, SAMPLING) for prompt in written]
    while engine.scheduler.busy:
        engine.scheduler.step()
    for reply in replies:
        assert reply.error is None, reply.error
    return time.perf_counter() - started


def measure(model: Path, options: LoadOptions) -> tuple[float, float]:
    """Return the seconds of cold and of warm requests."""
    with closing(LocalEngine.load(model, options)) as engine:
        _ = engine.constraint_compiler
        cold, warm = (
            [request.prompt(engine.prompt_format) for request in requests(CLIENTS, day)]
            for day in (24, 25)
        )
        return write_all(engine, cold), write_all(engine, warm)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=FILES, default="qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = fetch(arguments.model)
    options = LoadOptions(context_size=CONTEXT, sequences=CLIENTS)
    runs: dict[str, list[tuple[float, float]]] = {"one for all": [], "one for each": []}
    for _ in range(arguments.rounds):
        runs["one for all"].append(measure(model, options))
        with (
            mock.patch.object(llama_context, "UNIFIED_KV", new=False),
            mock.patch.object(sequence_pool, "MIN_AWAITED_TOKENS", new=CONTEXT),
            mock.patch.object(sequence_pool.SequencePool, "_copy_prefix"),
        ):
            runs["one for each"].append(measure(model, options))
    print("| KV cache | cold, s | warm, s |")
    print("|---|---|---|")
    for name, seconds in runs.items():
        cold, warm = (statistics.median(case) for case in zip(*seconds, strict=True))
        print(f"| {name} | {cold:.1f} | {warm:.1f} |")


if __name__ == "__main__":
    main()
