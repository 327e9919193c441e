"""The interface of a model, as a turn uses it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from ..grammar import Enforced
from ..prompt import PromptFormat
from ..types import (
    GenerationEnd,
    Heartbeat,
    Notice,
    PrefillProgress,
    Prompt,
    Sampling,
    TokenLogprobs,
)

ReplyItem = PrefillProgress | str | TokenLogprobs | Notice | Heartbeat | GenerationEnd
"""What an engine yields while a model writes a reply."""

Generation = Generator[ReplyItem, bool | None, None]
"""A reply in progress: events and text, then one GenerationEnd. Sending True ends it early."""


class TokenCounter(Protocol):
    """Counts the tokens of prompts."""

    @property
    def prompt_format(self) -> PromptFormat:
        """The format of the model's prompts."""

    @property
    def context_size(self) -> int:
        """The size of the context window in tokens."""

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt."""


class Engine(TokenCounter, Protocol):
    """A model that continues a prompt, constrained by a grammar."""

    @property
    def name(self) -> str:
        """The model's display name."""

    @property
    def sequences(self) -> int:
        """How many replies several threads can have written at once; others wait."""

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield progress, the text as the model writes it, and one GenerationEnd.

        With `sampling.logprobs`, TokenLogprobs is yielded before each text, for its tokens.
        Heartbeat is yielded if nothing happens for a moment, Notice for a message to the user.
        After True is sent, the reply ends with the next item.
        """
