"""An engine that remembers what it was given for the last reply, and what the reply cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..grammar import Enforced
from ..prompt import PromptFormat
from ..prompt import text as prompt_text
from ..reply_record import ReplyRecord
from ..types import GenerationEnd, Message, Prompt, Sampling, Tool, Usage
from .context_window import split_turns
from .engine import Engine, Generation


@dataclass(frozen=True, slots=True)
class ObservedReply:
    """What a model got for a reply, and what the reply cost."""

    prompt: Prompt
    constrained: bool
    sampling: Sampling
    usage: Usage = Usage()


class ObservedEngine:
    """Passes everything on to another engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reply: ObservedReply | None = None

    @property
    def name(self) -> str:
        """The model's display name."""
        return self._engine.name

    @property
    def prompt_format(self) -> PromptFormat:
        """The format of the model's prompts."""
        return self._engine.prompt_format

    @property
    def context_size(self) -> int:
        """The size of the context window in tokens."""
        return self._engine.context_size

    @property
    def sequences(self) -> int:
        """How many replies can be written at once."""
        return self._engine.sequences

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt."""
        return self._engine.count(prompts)

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield what the engine yields."""
        self._reply = ObservedReply(prompt, grammar is not None, sampling)
        items = self._engine.generate(prompt, grammar, sampling)
        try:
            item = next(items, None)
            while item is not None:
                if isinstance(item, GenerationEnd):
                    self._reply = replace(self._reply, usage=item.usage)
                stop = yield item
                try:
                    item = items.send(stop)
                except StopIteration:
                    return
        finally:
            items.close()

    def take_record(
        self, before: Sequence[Message], tools: Sequence[Tool], dropped_turns: int
    ) -> ReplyRecord | None:
        """Return how the last reply was written, once; None if there is none.

        `before` are the messages before the reply, of which `dropped_turns` turns were dropped.
        """
        reply, self._reply = self._reply, None
        if reply is None:
            return None
        head, turns = split_turns(before)
        dropped = sum(len(turn) for turn in turns[:dropped_turns])
        return ReplyRecord(
            prompt=prompt_text(reply.prompt),
            prompt_format=self.prompt_format,
            tools=tuple(tools),
            unread=(len(head), len(head) + dropped) if dropped else (0, 0),
            sampling=reply.sampling,
            constrained=reply.constrained,
            usage=reply.usage,
            model=self.name,
        )
