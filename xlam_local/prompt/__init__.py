"""From a conversation to a prompt, in the words xLAM was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..types import Message, Piece, Prompt, Tool
from . import family, template
from .family import FAMILIES, LLAMA, QWEN, Family, xlam_family
from .template import Template
from .words import calls_json, tool_json, tool_text

__all__ = [
    "FAMILIES",
    "LLAMA",
    "QWEN",
    "Family",
    "Format",
    "Template",
    "calls_json",
    "render",
    "text",
    "tool_json",
    "tool_text",
    "xlam_family",
]

Format = Family | Template


def render(messages: Sequence[Message], tools: Sequence[Tool], form: Format) -> Prompt:
    """The prompt after which the model writes its next message."""
    if isinstance(form, Family):
        return tuple(_joined(family.pieces(messages, tools, form)))
    return tuple(_joined(template.pieces(messages, tools, form)))


def text(prompt: Prompt) -> str:
    """A prompt as one string."""
    return "".join(piece.text for piece in prompt)


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same prompt with neighbouring plain pieces as one, for they are tokenized together."""
    plain = ""
    for piece in pieces:
        if not piece.special:
            plain += piece.text
        elif piece.text:
            if plain:
                yield Piece(plain)
            yield piece
            plain = ""
    if plain:
        yield Piece(plain)
