"""A server whose model does what the request says, for tests with real clients.

usage: python -m tests.fakes.scripted_server

It prints its URL and then serves until a signal ends it. The token is "secret". The model calls
`add` with 2 and 3, twice in parallel if the request says "twice", not at all if it says "hello".
If Codex's tool for commands is offered, it has this add the numbers. After a result it answers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local import prompt
from xlam_local.agent import Generation
from xlam_local.gbnf import Grammar, to_gbnf
from xlam_local.grammar import Enforced, TextOrCalls
from xlam_local.prompt import PromptFormat
from xlam_local.server import (
    AccessRules,
    EngineQueue,
    ServerState,
    open_socket,
    run_server,
    url_of,
)
from xlam_local.types import GenerationEnd, PrefillProgress, Prompt, Sampling, Usage

TOKEN = "secret"
PIECE = 5
"""Characters of each piece of a reply."""


class Obedient:
    """A model that calls `add` or answers, as the last message says."""

    name = "obedient"
    context_size = 1 << 20
    sequences = 1
    prompt_format: PromptFormat = prompt.QWEN

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Count each word as one token."""
        return [len(prompt.text(one).split()) for one in prompts]

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield a reply in small pieces."""
        text = reply(prompt.text(written), grammar)
        yield PrefillProgress(10, 10)
        for start in range(0, len(text), PIECE):
            if (yield text[start : start + PIECE]):
                break
        yield GenerationEnd(False, Usage(10, 4, 3, 0.1, 0.2))


def reply(text: str, grammar: Enforced | None) -> str:
    """Return the reply to a prompt, within the grammar."""
    last = text.split("<|im_start|>")[-2]
    after_result = last.startswith("tool") or "Observation:" in last  # smolagents writes that
    calls_only = isinstance(grammar, Grammar) and "call" in grammar.rules
    may_call = calls_only or isinstance(grammar, TextOrCalls)
    if isinstance(grammar, Grammar) and not may_call and "sum" in to_gbnf(grammar):
        return '{"sum": 5}'
    if may_call and (calls_only or not (after_result or "hello" in last)):
        name = "final_answer" if "final_answer" in text and after_result else "add"
        if name == "final_answer":
            return json.dumps([{"name": name, "arguments": {"answer": "5"}}])
        calls = [(2, 3), (4, 5)] if "twice" in last else [(2, 3)]
        in_shell = '"name": "exec_command"' in text
        return json.dumps([(shell_call if in_shell else add_call)(a, b) for a, b in calls])
    return "The sum is 5." if after_result else "Hello there."


def add_call(a: int, b: int) -> dict[str, Any]:
    """Return a call of the tool that the clients offer."""
    return {"name": "add", "arguments": {"a": a, "b": b}}


def shell_call(a: int, b: int) -> dict[str, Any]:
    """Return a call of Codex's tool for commands."""
    return {"name": "exec_command", "arguments": {"cmd": f"echo $(({a} + {b}))"}}


def main() -> None:
    """Serve the obedient model."""
    bound = open_socket("127.0.0.1", 0)
    with bound:
        state = ServerState(EngineQueue(Obedient(), 8), WordTokenizer())
        rules = AccessRules(token=TOKEN)
        run_server(state, rules, bound, 1, lambda: print(url_of(bound), flush=True))


if __name__ == "__main__":
    main()
