"""An engine without a grammar, to measure what the grammar changes."""

from __future__ import annotations

from ..agent.engine import Generation
from ..agent.observed_engine import ObservedEngine
from ..grammar import Enforced
from ..types import Prompt, Sampling


class FreeEngine(ObservedEngine):
    """Lets a model write without the grammar."""

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield what the engine yields without a grammar."""
        return super().generate(prompt, None, sampling)
