"""An engine that passes everything on to another one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from ..grammar import Enforced
from ..prompt import PromptFormat
from ..types import Prompt, Sampling
from .engine import Engine, Generation, ReplyItem


class WrappedEngine:
    """Passes everything on to another engine; subclasses see each item of a reply."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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

    def observe(self, item: ReplyItem) -> None:
        """See an item of a reply before it is passed on."""

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield what the engine yields."""
        with closing(self._engine.generate(prompt, grammar, sampling)) as items:
            item = next(items, None)
            while item is not None:
                self.observe(item)
                stop = yield item
                try:
                    item = items.send(stop)
                except StopIteration:
                    return
