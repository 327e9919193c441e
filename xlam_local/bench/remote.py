"""The measurements of `xlam-local bench` for a model on a server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from .. import grammar, prompt
from ..agent import Engine
from . import report as figures
from . import workload
from .report import Report
from .run import MAX_CALL_TOKENS, TOKENS_PER_S, first_token, generate, measure_text
from .sequences import measure_sequences


def run_remote(
    report: Report, engine: Engine, enforces_grammar: bool, rounds: int
) -> Iterator[str]:
    """Take all measurements that a server allows; yield what is measured next.

    Without grammars, a reply may be text, so calls are not measured.
    """
    for number in range(rounds):
        name = f"round {number + 1} of {rounds}"
        yield f"{name}, time to the first token"
        _measure_first_token(report, engine)
        yield name
        tools = workload.TOOLS if enforces_grammar else ()
        measure_text(report, engine, tools)
        if enforces_grammar:
            _measure_calls(report, engine)
            for _ in measure_sequences(report, engine, None, MAX_CALL_TOKENS):
                yield f"{name}, several at once"


def _measure_first_token(report: Report, engine: Engine) -> None:
    """Measure a prompt that the server has never read, and the same prompt again."""
    beginning = f"Note {uuid.uuid4()}. "
    for name in (figures.FIRST_TOKEN_COLD, figures.FIRST_TOKEN_CACHED):
        seconds, end = first_token(engine, beginning)
        report.add(name, "s", seconds)
        if name == figures.FIRST_TOKEN_COLD and end.usage.prompt_tokens:
            report.add("prefill", TOKENS_PER_S, end.usage.prompt_tokens / seconds)
            report.add("prompt", "tokens", end.usage.prompt_tokens)


def _measure_calls(report: Report, engine: Engine) -> None:
    compiled = grammar.compile_tools(workload.TOOLS, "required")
    written = prompt.render([workload.TRIP], compiled.tools, engine.prompt_format)
    usage = generate(engine, written, compiled.grammar, MAX_CALL_TOKENS).usage
    report.add(figures.CALLS_REMOTE, TOKENS_PER_S, usage.decode_speed)
    report.add("reply with calls", "tokens", usage.reply_tokens)
