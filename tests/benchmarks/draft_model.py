"""Measure whether drafting with a smaller model of the same vocabulary would pay.

usage: python -m tests.benchmarks.draft_model [--target NAME] [--draft NAME] [--tokens N]

The target writes texts and calls greedily. The share of its sampled tokens that the draft model
would have drafted, and what a batch costs in each model, give the best speed with drafts of each
length, as a multiple of the speed without any. Nothing is drafted here.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from contextlib import closing

from tests.fakes.resources import FILES, fetch
from xlam_local import grammar, prompt
from xlam_local.bench import workload
from xlam_local.engine import LoadOptions
from xlam_local.engine.llama_context import DecodeRequest
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.types import Message, PromptPart, Sampling, SystemMessage, Tool, UserMessage

QUESTIONS = (
    "What is a lighthouse?",
    "Explain how bread is made, step by step.",
    "Write a Python function that reverses a list.",
    "Which planets have rings?",
)
TRIPS = ("Oslo", "Rome", "Lima", "Tokyo")
MAX_DRAFT_TOKENS = 5
BATCH_REPEATS = 7
CONTEXT = 1024


def milliseconds(engine: LocalEngine, size: int) -> float:
    """Return the median time of a batch of `size` tokens after a short prompt."""
    sequence = engine.context.sequences[0]
    start = len(sequence.tokens)
    times = []
    for _ in range(BATCH_REPEATS):
        times.append(1000 * engine.context.decode([DecodeRequest(sequence, [100] * size, size)]))
        sequence.truncate(start)
    return statistics.median(times)


def written_tokens(
    target: LocalEngine, question: str, tools: Sequence[Tool], max_tokens: int
) -> tuple[list[int], list[int]]:
    """Return the tokens of a prompt, and those that the target writes after it."""
    messages: list[Message] = [SystemMessage("Be brief."), UserMessage(question)]
    written = prompt.render(messages, tools, target.prompt_format)
    rules = grammar.compile_tools(tools, "required").grammar if tools else None
    text = "".join(
        item
        for item in target.generate(written, rules, Sampling(max_tokens=max_tokens))
        if isinstance(item, str)
    )
    return target.model.tokenize(written), target.model.tokenize((PromptPart(text),))


def matches(draft: LocalEngine, before: Sequence[int], reply: Sequence[int]) -> list[bool]:
    """Return for each token of a reply whether it is the draft model's most likely one."""
    (sequence,) = draft.context.sequences
    sequence.truncate(0)
    size = draft.context.batch_size
    for start in range(0, len(before), size):
        draft.context.decode([DecodeRequest(sequence, before[start : start + size])])
    found = []
    for token in reply:
        found.append(int(sequence.logits().argmax()) == token)
        draft.context.decode([DecodeRequest(sequence, [token])])
    return found


def speed_up(accepted: float, target_ms: Sequence[float], draft_ms: float, length: int) -> float:
    """Return the speed with drafts of `length` tokens, as a multiple of the speed without."""
    tokens = sum(accepted**n for n in range(length + 1))
    return tokens * target_ms[0] / (length * draft_ms + target_ms[length])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=FILES, default="qwen2.5-coder-1.5b")
    parser.add_argument("--draft", choices=FILES, default="qwen2.5-coder-0.5b")
    parser.add_argument("--tokens", type=int, default=96)
    arguments = parser.parse_args()
    options = LoadOptions(context_size=CONTEXT)
    target = LocalEngine.load(fetch(arguments.target), options)
    draft = LocalEngine.load(fetch(arguments.draft), options)
    with closing(target), closing(draft):
        trips = [f"Find flights from {city} to London on 2026-12-24 for 2." for city in TRIPS]
        kinds = {"text": (QUESTIONS, ()), "calls": (trips, workload.TOOLS)}
        accepted = {}
        for kind, (questions, tools) in kinds.items():
            found: list[bool] = []
            for question in questions:
                pair = written_tokens(target, question, tools, arguments.tokens)
                found += matches(draft, *pair)
            accepted[kind] = sum(found) / len(found)
        target_ms = [milliseconds(target, size) for size in range(1, MAX_DRAFT_TOKENS + 2)]
        draft_ms = milliseconds(draft, 1)
    print(f"{arguments.draft} for {arguments.target}: one token {draft_ms:.1f} ms;")
    print("target, 1 to 6 tokens in a batch, ms:", ", ".join(f"{ms:.0f}" for ms in target_ms))
    for kind, share in accepted.items():
        speeds = [
            speed_up(share, target_ms, draft_ms, length)
            for length in range(1, MAX_DRAFT_TOKENS + 1)
        ]
        shown = ", ".join(f"{speed:.2f}" for speed in speeds)
        print(f"{kind}: {share:.0%} of the tokens drafted right; speed with 1 to 5: {shown}")


if __name__ == "__main__":
    main()
