"""Render a conversation and its tools as a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..types import Message, Prompt, PromptPart, Tool
from . import chat_template, special_tokens, xlam_format
from .chat_template import Template
from .detection import (
    PromptFormat,
    Vocabulary,
    detect_format,
    format_from_json,
    format_to_json,
)
from .instructions import (
    CALLS_END,
    CALLS_START,
    calls_json,
    list_tools,
    tool_json,
    tool_text,
    tool_token_counts,
)
from .skipped_calls import without_skipped_calls
from .xlam_format import FAMILIES, LLAMA, QWEN, Family
from .xlam_models import xlam_family

__all__ = [
    "CALLS_END",
    "CALLS_START",
    "FAMILIES",
    "LLAMA",
    "QWEN",
    "Family",
    "PromptFormat",
    "Template",
    "Vocabulary",
    "calls_json",
    "detect_format",
    "format_from_json",
    "format_to_json",
    "render",
    "text",
    "tool_json",
    "tool_text",
    "tool_token_counts",
    "xlam_family",
]


def render(
    messages: Sequence[Message],
    tools: Sequence[Tool],
    prompt_format: PromptFormat,
    listing: str | None = None,
) -> Prompt:
    """Return the prompt after which the model writes its next message.

    Calls that did not run are left out, unless they are the last messages.
    `listing` replaces the text that lists the tools. The evaluation uses it, because the handlers
    of the leaderboard write tools in ASCII and with all keys of their definitions.

    Raises:
        PromptError: the model's chat template cannot render this conversation.
    """
    messages = without_skipped_calls(messages)
    if listing is None:
        listing = list_tools(tools)
    if isinstance(prompt_format, Family):
        parts = xlam_format.prompt_parts(messages, listing, prompt_format)
        return tuple(_merged(parts, prompt_format.special_tokens))
    return tuple(chat_template.prompt_parts(messages, listing, prompt_format))


def text(prompt: Prompt) -> str:
    """Return a prompt as one string."""
    return "".join(part.text for part in prompt)


def _merged(parts: Iterable[PromptPart], tokens: special_tokens.Tokens) -> Iterator[PromptPart]:
    """Merge neighboring plain parts, because they must be tokenized together."""
    plain = ""
    for part in parts:
        if not part.special:
            plain += part.text
        elif part.text:
            yield from special_tokens.plain_parts(plain, tokens)
            yield part
            plain = ""
    yield from special_tokens.plain_parts(plain, tokens)
