"""Text from models and tools, made safe for a terminal."""

from __future__ import annotations

import re

# Controls but tab and newline, among them ESC and the C1 codes that begin terminal commands, and
# the marks that turn the direction of text, so that it reads as something else than it is.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with every character that could command a terminal written as its number."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))
