"""Text from models and tools, made safe for a terminal."""

from __future__ import annotations

import re

# Controls but tab and newline, among them ESC and the C1 codes that begin terminal commands; the
# marks that turn the direction of text, so that it reads as something else than it is; and what
# is not seen at all, and could tell a model what its user does not read. Joiners, and the choice
# between an emoji and its plain form, stay beside letters of other scripts and emoji.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_TURNING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"
_UNSEEN = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2028\u2029\u2060-\u2065\u3164\ufeff"
_UNSEEN += "\u180b-\u180d\u180f\ufe00-\ufe0d\uffa0\ufff0-\ufffb"
_UNSEEN += "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_HALVES = "\ud800-\udfff"
_JOINERS = "(?<![^\x00-\xff])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\xff])"
_JOINERS += "|(?<=[\ufe0e\ufe0f])[\ufe0e\ufe0f]|(?<=[a-zA-Z ])[\ufe0e\ufe0f]"
_UNSAFE = re.compile(f"[{_CONTROLS}{_TURNING}{_UNSEEN}{_HALVES}]|{_JOINERS}")


def printable(text: str) -> str:
    """The text with every character that could command a terminal, or hide, as its number."""
    return _UNSAFE.sub(_number, text.replace("\r\n", "\n"))


def _number(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
