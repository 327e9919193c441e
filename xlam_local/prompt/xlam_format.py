"""xLAM's own format, which its two base models write with different tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..types import Message, Piece, Tool
from .words import XLAM_SYSTEM, split_system, spoken, system_block


@dataclass(frozen=True, slots=True)
class Family:
    """How one of xLAM's two base models marks who speaks."""

    name: str
    begin: str
    """The special token that opens a prompt, or nothing."""
    open: str
    """The special token before a role."""
    close: str
    """The special token between a role and its text, or nothing."""
    gap: str
    """The plain text between a role and its text."""
    end: str
    """The special token after a message."""
    result: str
    """The role of a tool's result."""


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
ARCHITECTURES = {"qwen2": QWEN, "llama": LLAMA}


def xlam_family(metadata: Mapping[str, object]) -> Family | None:
    """The family of an xLAM-2 model, told by its file's metadata; None for other models."""
    named = " ".join(str(metadata.get(f"general.{key}", "")) for key in ("name", "basename"))
    if "xlam" not in named.lower():
        return None
    return ARCHITECTURES.get(str(metadata.get("general.architecture", "")))


def pieces(messages: Sequence[Message], tools: Sequence[Tool], family: Family) -> Iterator[Piece]:
    """The prompt for an xLAM model, piece by piece."""
    system, rest = split_system(messages, XLAM_SYSTEM)
    yield Piece(family.begin, special=True)
    yield from _turn(family, "system", system_block(system, tools))
    for message in rest:
        yield from _turn(family, *spoken(message, family.result))
    yield from _header(family, "assistant")


def _turn(family: Family, role: str, content: str) -> Iterator[Piece]:
    yield from _header(family, role)
    yield Piece(content)
    yield Piece(family.end, special=True)


def _header(family: Family, role: str) -> Iterator[Piece]:
    yield Piece(family.open, special=True)
    yield Piece(role)
    yield Piece(family.close, special=True)
    yield Piece(family.gap)
