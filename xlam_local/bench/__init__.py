"""Speed on this machine, side by side in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import fit, gbnf, grammar, prompt
from ..agent import Engine
from ..errors import XlamError
from ..gbnf import Grammar
from ..types import End, Message, Prompt, Sampling, System, Tool
from . import example
from .report import Report

if TYPE_CHECKING:
    from ..engine import Settings
    from ..engine.local import Engine as Local
    from ..engine.peer import Peer

TEXT = 64
"""Tokens of free text in a run."""
TEXTS = 3
"""Texts of a round; what a grammar costs them is little beside what runs differ by."""
CALLS = 200
"""The most tokens of calls in a run."""
HEAD = 1500
"""Tokens of system message and tools, for the time to the first token."""
SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
SPEED = "tokens/s"


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: a file, how it is loaded, and beside what."""

    path: Path
    settings: Settings
    plan: fit.Plan
    report: Report
    server: str | None = None
    """The URL of a llama-server with the same model."""


def run(case: Case, rounds: int) -> Iterator[str]:
    """Measure all, and tell what is measured next; the figures are in the case's report."""
    yield "time to the first token"
    starts(case, rounds)
    yield "loading"
    from ..engine.local import Engine as Local
    from ..engine.peer import Peer
    from ..engine.process import EngineProcess

    plain = replace(case.settings, prefixes=None)
    here = Local.load(case.path, plain)
    peer = Peer(case.path, plain.context, plain.threads or 1)
    with closing(here), closing(EngineProcess.load(case.path, plain)) as process, closing(peer):
        for number in range(rounds):
            yield f"round {number + 1} of {rounds}"
            for _ in round_(case, here, process, peer):
                yield f"round {number + 1} of {rounds}"
        yield "the cost of batches"
        case.report.curve = curve(here)
        case.report.add("memory, measured", "MiB", _peak(process.pid) / fit.MIB)
        case.report.add("memory, predicted", "MiB", case.plan.peak / fit.MIB)


def starts(case: Case, rounds: int) -> None:
    """Loading, and the first token of a long prompt: cold, and with its prefix on disk."""
    from ..engine.process import EngineProcess

    report = case.report
    for _ in range(max(1, rounds // 2)):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("cold", "prefix on disk"):
                began = time.perf_counter()
                kept = replace(case.settings, prefixes=Path(folder))
                with closing(EngineProcess.load(case.path, kept)) as engine:
                    report.add("load", "s", time.perf_counter() - began)
                    first, end = _first_token(engine)
                report.add(f"first token, {kind}", "s", first)
                if kind == "cold":
                    speed = end.usage.prompt_tokens / end.usage.prefill_seconds
                    report.add("prefill", SPEED, speed)
                    report.add("prompt", "tokens", end.usage.prompt_tokens)


def _first_token(engine: Engine) -> tuple[float, End]:
    tools = example.many_tools(6)
    messages: list[Message] = [System("You are a helpful assistant."), example.TRIP]
    (count,) = engine.count([prompt.render(messages, tools, engine.format)])
    padding = example.PADDING * max(0, (HEAD - count) // 15)
    messages[0] = System(f"You are a helpful assistant. {padding}")
    written = prompt.render(messages, tools, engine.format)
    rules = grammar.for_turn(tools, "required").grammar
    began, first = time.perf_counter(), 0.0
    end = End()
    for item in engine.generate(written, rules, Sampling(max_tokens=4)):
        if isinstance(item, str):
            first = first or time.perf_counter() - began
        if isinstance(item, End):
            end = item
    return first, end


def round_(case: Case, here: Local, process: Engine, peer: Peer) -> Iterator[None]:
    """Each subject once."""
    report, offer = case.report, grammar.for_turn(example.TOOLS, "required")
    rules, tools = offer.grammar, offer.tools
    assert rules is not None
    written = prompt.render([example.TRIP], tools, here.format)
    tokens = here.model.tokenize(written)
    for name, engine, change in (
        ("calls, in its process", process, {}),
        ("calls, in this process", here, {}),
        ("calls, no forced text", here, {"forced": False}),
        ("calls, no drafts", here, {"drafts": False}),
        ("calls, drafts always", here, {"drafts": True}),
    ):
        with _changed(here, change):
            end = _write(engine, written, rules, CALLS)
        report.add(name, SPEED, end.usage.decode_speed)
        if not change and engine is here:
            _grammar_cost(report, here.grammar_seconds)
            report.add("drafts", "tokens", end.usage.drafted_tokens)
            report.add("drafts that were right", "tokens", end.usage.accepted_tokens)
        if name == "calls, no forced text":
            report.add("tokens of the calls", "tokens", end.usage.reply_tokens)
        yield
    report.add("LlamaGrammar", SPEED, peer.write(tokens, gbnf.text(rules), CALLS)[1])
    yield
    report.add("free, llama-cpp-python", SPEED, peer.write(tokens, None, TEXT)[1])
    yield
    _text(report, here, tools)
    if case.server:
        yield
        report.add("llama-server", SPEED, server_speed(case.server, prompt.text(written)))


def _text(report: Report, here: Local, tools: Sequence[Tool]) -> None:
    """Free text with the grammar of a turn in which the model may answer, and without one.

    The prompt has no tools, so that even a model that likes to call writes text.
    """
    written = prompt.render([example.STORY], (), here.format)
    auto = grammar.for_turn(tools, "auto").grammar
    for name, rules in TEXTS * (("text in auto", auto), ("text, no grammar", None)):
        end = _write(here, written, rules, TEXT)
        if end.usage.reply_tokens >= TEXT // 2:
            report.add(name, SPEED, end.usage.decode_speed)


def _write(engine: Engine, written: Prompt, rules: Grammar | None, most: int) -> End:
    *_, end = engine.generate(written, rules, Sampling(max_tokens=most))
    assert isinstance(end, End)
    return end


@contextmanager
def _changed(engine: Local, change: Mapping[str, Any]) -> Iterator[None]:
    """Change an engine's settings for a while."""
    before = engine.settings
    engine.settings = replace(before, **change)
    try:
        yield
    finally:
        engine.settings = before


def _grammar_cost(report: Report, seconds: Sequence[float]) -> None:
    ordered = sorted(1000 * one for one in seconds)
    report.add("grammar a token, mean", "ms", statistics.mean(ordered))
    report.add("grammar a token, p99", "ms", ordered[round(0.99 * (len(ordered) - 1))])


def curve(here: Local) -> dict[int, float]:
    """Milliseconds of a batch, by its tokens, after what the context holds."""
    context, found = here.context, {}
    start = len(context.tokens)
    for size in SIZES:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            context.decode(context.tokens[:size])
            times.append(1000 * (time.perf_counter() - began))
            context.keep(start)
        found[size] = statistics.median(times)
    return found


def server_speed(url: str, text: str) -> float:
    """Tokens a second of a llama-server that writes calls under their JSON Schema."""
    import httpx2

    asked = {
        "prompt": text,
        "n_predict": CALLS,
        "temperature": 0,
        "json_schema": example.calls_schema(),
        "cache_prompt": True,
    }
    try:
        answer = httpx2.post(f"{url.rstrip('/')}/completion", json=asked, timeout=600)
        answer.raise_for_status()
        return float(answer.json()["timings"]["predicted_per_second"])
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        raise XlamError(f"{url} does not answer as a llama-server does: {error}.") from error


def _peak(pid: int | None) -> int:
    """The most bytes of memory that a process ever had, or has where the system does not tell."""
    with suppress(OSError, StopIteration, ValueError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import psutil

    return int(psutil.Process(pid).memory_info().rss)
