"""xLAM's prompt format, in the tokens of its two base models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..types import Message, PromptPart
from .instructions import XLAM_SYSTEM, role_and_text, split_system, xlam_system


@dataclass(frozen=True, slots=True)
class Family:
    """The tokens with which one of xLAM's two base models marks messages."""

    name: str
    begin: str
    """The special token at the start of a prompt, or empty."""
    open: str
    """The special token before a role."""
    close: str
    """The special token after a role, or empty."""
    gap: str
    """The plain text between the role and the message."""
    end: str
    """The special token after a message."""
    result: str
    """The role of tool results."""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The special tokens, which a vocabulary must have."""
        return tuple(filter(None, (self.begin, self.open, self.close, self.end)))


QWEN = Family("qwen", "", "<|im_start|>", "", "\n", "<|im_end|>", "tool")
LLAMA = Family(
    "llama",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "\n\n",
    "<|eot_id|>",
    "ipython",
)
FAMILIES = {family.name: family for family in (QWEN, LLAMA)}


def prompt_parts(
    messages: Sequence[Message], listing: str | None, family: Family
) -> Iterator[PromptPart]:
    """Yield the parts of the prompt for an xLAM model.

    `listing` is the text that lists the tools, or None without tools.
    """
    system, rest = split_system(messages, XLAM_SYSTEM)
    yield PromptPart(family.begin, special=True)
    yield from _message(family, "system", xlam_system(system, listing))
    for message in rest:
        yield from _message(family, *role_and_text(message, family.result))
    yield from _header(family, "assistant")


def _message(family: Family, role: str, content: str) -> Iterator[PromptPart]:
    yield from _header(family, role)
    yield PromptPart(content)
    yield PromptPart(family.end, special=True)


def _header(family: Family, role: str) -> Iterator[PromptPart]:
    yield PromptPart(family.open, special=True)
    yield PromptPart(role)
    yield PromptPart(family.close, special=True)
    yield PromptPart(family.gap)
