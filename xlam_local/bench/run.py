"""The measurements of `xlam-local bench`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from .. import gbnf, grammar, prompt
from ..agent import Engine
from ..engine import LoadOptions
from ..engine.llama_context import DecodeRequest
from ..engine.local_engine import LocalEngine
from ..engine.subprocess_engine import SubprocessEngine
from ..grammar import Enforced
from ..hardware import MIB, compute_cores
from ..memory_plan import Plan
from ..types import GenerationEnd, Message, Prompt, Sampling, SystemMessage, Tool
from . import report as figures
from . import workload
from .llama_cpp_python import LlamaCppPython
from .llama_server import server_speed
from .report import SEQUENCE_COUNTS, Report
from .sequences import measure_sequences

MAX_TEXT_TOKENS = 64
TEXTS_PER_ROUND = 3
"""Texts are short and differ little, so each round generates several."""
MAX_CALL_TOKENS = 200
LONG_PROMPT_TOKENS = 1500
"""The approximate prompt that the time to the first token is measured with."""
LONG_PROMPT_TOOLS = 6
SEQUENCE_CONTEXT = 1024
"""The context of each reply that is written beside others."""
BUSY_COMMAND = (sys.executable, "-c", "while True: pass")
BATCH_SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
BATCH_REPEATS = 5
SYSTEM = "You are a helpful assistant."
TOKENS_PER_S = "tokens/s"


@dataclass(frozen=True, slots=True)
class BenchCase:
    """The model to measure, how it is loaded, and what it is compared with."""

    path: Path
    options: LoadOptions
    plan: Plan
    report: Report
    """Receives the figures."""
    server_url: str | None = None
    """A llama-server with the same model."""


def run(case: BenchCase, rounds: int) -> Iterator[str]:
    """Take all measurements; yield what is measured next."""
    yield "time to the first token"
    measure_first_token(case, rounds)
    yield "loading"
    options = replace(case.options, prompt_cache_folder=None)
    local = LocalEngine.load(case.path, options)
    threads = options.threads or compute_cores()
    other = LlamaCppPython(case.path, options.context_size, threads, options.adapters)
    with (
        closing(local),
        closing(other),
        closing(SubprocessEngine.load(case.path, options)) as child,
        closing(SubprocessEngine.load(case.path, _for_sequences(options))) as several,
    ):
        for number in range(rounds):
            yield f"round {number + 1} of {rounds}"
            for _ in measure_round(case, local, child, other):
                yield f"round {number + 1} of {rounds}"
            for _ in measure_sequences(case.report, several, case.server_url, MAX_CALL_TOKENS):
                yield f"round {number + 1} of {rounds}, several at once"
        yield "the cost of batches"
        case.report.curve = batch_costs(local)
        case.report.add(figures.MEMORY_MEASURED, "MiB", _peak_memory(child.pid) / MIB)
        case.report.add(figures.MEMORY_PREDICTED, "MiB", case.plan.peak_memory / MIB)


def _for_sequences(options: LoadOptions) -> LoadOptions:
    """Return the options of an engine that writes several replies at once."""
    most = max(SEQUENCE_COUNTS)
    return replace(options, sequences=most, context_size=SEQUENCE_CONTEXT)


def measure_first_token(case: BenchCase, rounds: int) -> None:
    """Measure loading and the first token of a long prompt, without and with a cached prompt."""
    for _ in range(max(1, rounds // 2)):
        with tempfile.TemporaryDirectory() as folder:
            options = replace(case.options, prompt_cache_folder=Path(folder))
            for name in (figures.FIRST_TOKEN_COLD, figures.FIRST_TOKEN_CACHED):
                started = time.perf_counter()
                with closing(SubprocessEngine.load(case.path, options)) as engine:
                    case.report.add("load", "s", time.perf_counter() - started)
                    seconds, end = first_token(engine)
                case.report.add(name, "s", seconds)
                if name == figures.FIRST_TOKEN_COLD:
                    usage = end.usage
                    speed = usage.prompt_tokens / usage.prefill_seconds
                    case.report.add("prefill", TOKENS_PER_S, speed)
                    case.report.add("prompt", "tokens", usage.prompt_tokens)


def first_token(engine: Engine, beginning: str = "") -> tuple[float, GenerationEnd]:
    """Return the seconds until the first text after a long prompt, and the generation's end.

    A prompt with another `beginning` is in no prompt cache.
    """
    tools = workload.many_tools(LONG_PROMPT_TOOLS)
    system = f"{beginning}{SYSTEM}"
    messages: list[Message] = [SystemMessage(system), workload.TRIP]
    (count,) = engine.count([prompt.render(messages, tools, engine.prompt_format)])
    missing = max(0, LONG_PROMPT_TOKENS - count)
    padding = workload.PADDING * (missing // workload.PADDING_TOKENS)
    messages[0] = SystemMessage(f"{system} {padding}")
    written = prompt.render(messages, tools, engine.prompt_format)
    rules = grammar.compile_tools(tools, "required").grammar
    started, seconds = time.perf_counter(), 0.0
    end = GenerationEnd()
    for item in engine.generate(written, rules, Sampling(max_tokens=4)):
        if isinstance(item, str):
            seconds = seconds or time.perf_counter() - started
        if isinstance(item, GenerationEnd):
            end = item
    return seconds, end


def measure_round(
    case: BenchCase, local: LocalEngine, child: Engine, other: LlamaCppPython
) -> Iterator[None]:
    """Measure every subject once, so that all are affected alike by other work."""
    report, compiled = case.report, grammar.compile_tools(workload.TOOLS, "required")
    rules = compiled.grammar
    assert rules is not None
    written = prompt.render([workload.TRIP], compiled.tools, local.prompt_format)
    yield from _measure_own_calls(report, local, child, (written, rules))
    tokens = local.model.tokenize(written)
    speed = other.speed(tokens, gbnf.to_gbnf(rules), MAX_CALL_TOKENS)
    report.add(figures.CALLS_LLAMA_GRAMMAR, TOKENS_PER_S, speed)
    yield
    speed = other.speed(tokens, None, MAX_TEXT_TOKENS)
    report.add(figures.FREE_LLAMA_CPP_PYTHON, TOKENS_PER_S, speed)
    yield
    measure_text(report, local, compiled.tools)
    yield
    _measure_beside_busy_process(report, child)
    if case.server_url:
        yield
        speed = server_speed(case.server_url, prompt.text(written), rules, MAX_CALL_TOKENS)
        report.add(figures.CALLS_LLAMA_SERVER, TOKENS_PER_S, speed)


def _measure_own_calls(
    report: Report, local: LocalEngine, child: Engine, request: tuple[Prompt, Enforced]
) -> Iterator[None]:
    """Measure our engine with different options."""
    variants: tuple[tuple[str, Engine, dict[str, bool]], ...] = (
        (figures.CALLS, child, {}),
        (figures.CALLS_IN_PROCESS, local, {}),
        (figures.CALLS_NO_FAST_FORWARD, local, {"fast_forward": False}),
        (figures.CALLS_NO_DRAFTS, local, {"speculative": False}),
        (figures.CALLS_ALWAYS_DRAFTS, local, {"speculative": True}),
    )
    for name, engine, options in variants:
        with _with_options(local, options):
            usage = generate(engine, *request, MAX_CALL_TOKENS).usage
        report.add(name, TOKENS_PER_S, usage.decode_speed)
        if name == figures.CALLS_IN_PROCESS:
            _add_grammar_cost(report, local.grammar_seconds)
            report.add("drafted", "tokens", usage.drafted_tokens)
            report.add("accepted drafts", "tokens", usage.accepted_tokens)
        if name == figures.CALLS_NO_FAST_FORWARD:
            report.add("reply with calls", "tokens", usage.reply_tokens)
        yield


def measure_text(report: Report, engine: Engine, tools: Sequence[Tool]) -> None:
    """Measure text with the grammar of `tool_choice="auto"`, which allows text, and without one.

    The prompt offers no tools, so that every model writes text. Without `tools`, there is no
    grammar.
    """
    written = prompt.render([workload.STORY], (), engine.prompt_format)
    auto = grammar.compile_tools(tools, "auto").enforced
    variants = ((figures.TEXT_AUTO, auto), (figures.TEXT_FREE, None))
    for name, rules in TEXTS_PER_ROUND * (variants if tools else variants[1:]):
        usage = generate(engine, written, rules, MAX_TEXT_TOKENS).usage
        if usage.reply_tokens >= MAX_TEXT_TOKENS // 2:
            report.add(name, TOKENS_PER_S, usage.decode_speed)


def _measure_beside_busy_process(report: Report, child: Engine) -> None:
    """Measure text while another process computes, and before that without it."""
    written = prompt.render([workload.STORY], (), child.prompt_format)
    alone = generate(child, written, None, MAX_TEXT_TOKENS)
    report.add(figures.TEXT_CHILD, TOKENS_PER_S, alone.usage.decode_speed)
    with subprocess.Popen(BUSY_COMMAND) as busy:
        beside = generate(child, written, None, MAX_TEXT_TOKENS)
        busy.kill()
    report.add(figures.TEXT_BUSY, TOKENS_PER_S, beside.usage.decode_speed)
    report.add(figures.THREADS_BUSY, "threads", beside.threads)


def generate(
    engine: Engine, written: Prompt, rules: Enforced | None, max_tokens: int
) -> GenerationEnd:
    """Return the end of a reply."""
    *_, end = engine.generate(written, rules, Sampling(max_tokens=max_tokens))
    assert isinstance(end, GenerationEnd)
    return end


@contextmanager
def _with_options(engine: LocalEngine, changes: Mapping[str, Any]) -> Iterator[None]:
    """Change an engine's options in the block."""
    before = engine.options
    engine.options = replace(before, **changes)
    try:
        yield
    finally:
        engine.options = before


def _add_grammar_cost(report: Report, seconds: Sequence[float]) -> None:
    milliseconds = sorted(1000 * value for value in seconds)
    p99 = milliseconds[round(0.99 * (len(milliseconds) - 1))]
    report.add("grammar per token, mean", "ms", statistics.mean(milliseconds))
    report.add("grammar per token, p99", "ms", p99)


def batch_costs(local: LocalEngine) -> dict[int, float]:
    """Return the milliseconds that a batch takes, by its number of tokens."""
    sequence, costs = local.context.sequences[0], {}
    start = len(sequence.tokens)
    for size in BATCH_SIZES:
        times = []
        for _ in range(BATCH_REPEATS):
            request = DecodeRequest(sequence, sequence.tokens[:size])
            times.append(1000 * local.context.decode([request]))
            sequence.truncate(start)
        costs[size] = statistics.median(times)
    return costs


def _peak_memory(pid: int | None) -> int:
    """Return the largest resident size of a process in bytes; on macOS, the current one."""
    with suppress(OSError, StopIteration, ValueError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return int(psutil.Process(pid).memory_info().rss)
