"""An engine that says what it is told."""

from __future__ import annotations

from collections.abc import Sequence

from xlam_local import prompt
from xlam_local.agent import Generation
from xlam_local.gbnf import Grammar
from xlam_local.types import End, Prefill, Prompt, Sampling, Usage


class Scripted:
    """Says one reply after the other, each given in pieces, and keeps the prompts it read."""

    name = "scripted"
    format = prompt.QWEN
    where = "on the CPU with 2 threads"

    def __init__(self, *replies: Sequence[str | End], size: int = 1 << 20) -> None:
        self.size = size
        self.replies = list(replies)
        self.prompts: list[str] = []
        self.grammars: list[Grammar | None] = []
        self.closed = 0

    def close(self) -> None:
        """There is nothing to give back."""

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """One token for each word."""
        return [len(prompt.text(one).split()) for one in prompts]

    def generate(self, written: Prompt, grammar: Grammar | None, sampling: Sampling) -> Generation:
        self.prompts.append(prompt.text(written))
        self.grammars.append(grammar)
        try:
            yield Prefill(10, 10)
            reply = self.replies.pop(0)
            for item in reply:
                if (yield item):
                    break
            if not isinstance(reply[-1], End):
                yield End(False, Usage(10, 0, 3, 0.1, 0.2))
        finally:
            self.closed += 1
