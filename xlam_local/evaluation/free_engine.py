"""An engine that writes without a grammar."""

from __future__ import annotations

from collections.abc import Sequence

from ..agent.engine import Engine, Generation
from ..grammar import Enforced
from ..prompt import PromptFormat
from ..types import Prompt, Sampling


class FreeEngine:
    """Generates with an engine and ignores the grammar, as some servers do."""

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
        """How many replies are written at once."""
        return self._engine.sequences

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt."""
        return self._engine.count(prompts)

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Generate a reply without the grammar."""
        return self._engine.generate(prompt, None, sampling)
