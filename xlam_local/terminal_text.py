"""Escape control and invisible characters in text from models and tools, for terminals."""

from __future__ import annotations

import re

# Escaped are: control characters except tab and newline, among them ESC and the C1 codes that
# begin terminal commands; marks that change the direction of text, which can make it read as
# something else; and invisible characters, which could tell a model what its user cannot see.
# Joiners and variation selectors stay next to letters of other scripts and emoji, which need them.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"
_INVISIBLE = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2028\u2029\u2060-\u2065\u3164\ufeff"
_INVISIBLE += "\u180b-\u180d\u180f\ufe00-\ufe0d\uffa0\ufff0-\ufffb"
_INVISIBLE += "\u2800\U00016fe4\U0001d159"  # letters and signs without ink
_INVISIBLE += "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_BLANKS = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_SURROGATES = "\ud800-\udfff"
_JOINERS = "(?<![^\x00-\xff])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\xff])"
_JOINERS += "|(?<=[\ufe0e\ufe0f])[\ufe0e\ufe0f]|(?<=[a-zA-Z ])[\ufe0e\ufe0f]"
_UNSAFE = re.compile(f"[{_CONTROLS}{_DIRECTION_MARKS}{_INVISIBLE}{_SURROGATES}]|{_JOINERS}")
_BLANK = re.compile(f"[{_BLANKS}]")
"""Spaces that are not the ordinary one: commands and names with them are others."""


def escape_control(text: str) -> str:
    """Return the text with control, bidirectional and invisible characters as \\uXXXX escapes."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def escape_blanks(text: str) -> str:
    """Return the text with all characters that look blank, except ordinary spaces, as escapes.

    This is for what a user approves. In other texts, such spaces are common typography.
    """
    return _BLANK.sub(_escape, escape_control(text))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
