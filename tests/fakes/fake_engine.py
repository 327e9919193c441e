"""An engine that replies from a script."""

from __future__ import annotations

from collections.abc import Sequence

from xlam_local import prompt
from xlam_local.agent import Generation
from xlam_local.agent.engine import ReplyItem
from xlam_local.grammar import Enforced
from xlam_local.types import GenerationEnd, PrefillProgress, Prompt, Sampling, Usage


class Scripted:
    """Writes one scripted reply after the other, and keeps the prompts, grammars and samplings."""

    name = "scripted"
    prompt_format: prompt.PromptFormat = prompt.QWEN
    device = "on the CPU with 2 threads"

    def __init__(self, *replies: Sequence[ReplyItem], context_size: int = 1 << 20) -> None:
        self.context_size = context_size
        self.sequences = 1
        self.replies = list(replies)
        self.prompts: list[str] = []
        self.grammars: list[Enforced | None] = []
        self.samplings: list[Sampling] = []
        self.closed = 0
        """How many generations have ended."""

    def close(self) -> None:
        """Do nothing: there is no model to unload."""

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Count each word as one token."""
        return [len(prompt.text(one).split()) for one in prompts]

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield the next reply, and a GenerationEnd unless the script has one."""
        self.prompts.append(prompt.text(written))
        self.grammars.append(grammar)
        self.samplings.append(sampling)
        try:
            yield PrefillProgress(10, 10)
            reply = self.replies.pop(0)
            for item in reply:
                if (yield item):
                    break
            if not isinstance(reply[-1], GenerationEnd):
                yield GenerationEnd(False, Usage(10, 0, 3, 0.1, 0.2))
        finally:
            self.closed += 1
