"""An engine that records the prompt, the settings and the usage of the last reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..grammar import Enforced
from ..prompt import text as prompt_text
from ..reply_record import ReplyRecord
from ..types import GenerationEnd, Message, Prompt, Sampling, Tool, Usage
from .context_window import split_turns
from .engine import Engine, Generation, ReplyItem
from .wrapped_engine import WrappedEngine


@dataclass(frozen=True, slots=True)
class ObservedReply:
    """The prompt and the settings of a reply, and its usage."""

    prompt: Prompt
    constrained: bool
    sampling: Sampling
    usage: Usage = Usage()


class ObservedEngine(WrappedEngine):
    """Remembers the last reply."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._reply: ObservedReply | None = None

    def observe(self, item: ReplyItem) -> None:
        """Keep what the reply cost."""
        if self._reply is not None and isinstance(item, GenerationEnd):
            self._reply = replace(self._reply, usage=item.usage)

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield what the engine yields."""
        self._reply = ObservedReply(prompt, grammar is not None, sampling)
        yield from super().generate(prompt, grammar, sampling)

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
