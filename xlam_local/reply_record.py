"""How a reply was written: the prompt, the offered tools, the sampling and the usage."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from . import prompt as prompts
from .prompt import PromptFormat
from .types import Message, Prompt, Sampling, Tool, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRecord:
    """The prompt of a reply, the settings with which it was written, and its usage."""

    prompt: str
    """The exact text of the prompt."""
    prompt_format: PromptFormat
    tools: tuple[Tool, ...] = ()
    """The tools in the prompt, in its order."""
    unread: tuple[int, int] = (0, 0)
    """The range of the conversation's messages that were dropped to fit the context."""
    sampling: Sampling = Sampling()
    constrained: bool = False
    """Whether a grammar constrained the reply."""
    usage: Usage = Usage()
    model: str = ""
    model_sha256: str = ""
    """The SHA-256 of the model's file; empty if unknown."""
    adapters: str = ""
    """The LoRA adapters, as in `NAME+NAME:SCALE`; empty if there were none."""

    @property
    def prompt_sha256(self) -> str:
        """The SHA-256 of the prompt's text."""
        return text_sha256(self.prompt)


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def render_again(
    before: Sequence[Message],
    tools: Sequence[Tool],
    prompt_format: PromptFormat,
    unread: tuple[int, int],
) -> Prompt:
    """Return the prompt after the messages `before`, without those in the range `unread`.

    Raises:
        PromptError: the model's chat template cannot render this conversation.
    """
    start, end = unread
    return prompts.render([*before[:start], *before[end:]], tools, prompt_format)
