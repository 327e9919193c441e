"""Search patterns that are not regular languages with the library `regex`, within a time limit."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

from .dfa import TooLarge
from .ecma_regex import PatternError
from .pattern_language import pattern_language


def search(pattern: str, value: str, timeout_s: float) -> bool:
    """Return whether a pattern is found in a string.

    Raises:
        PatternError: the pattern is not valid.
        TimeoutError: the search takes longer than `timeout_s` seconds.
    """
    return compile_pattern(pattern).search(value, timeout=max(timeout_s, 0.001)) is not None


def pattern_error(pattern: str) -> str:
    """Return why a text is not a valid regular expression, as a sentence; "" if it is valid."""
    try:
        pattern_language(pattern)
    except TooLarge:
        return ""
    except PatternError:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            return str(error)
    return ""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Any:
    """Return the pattern compiled by `regex`.

    Raises:
        PatternError: the pattern is not valid.
    """
    import regex

    try:
        with warnings.catch_warnings(action="ignore"):  # about syntax that later versions change
            return regex.compile(in_python(pattern), regex.VERSION0 | regex.ASCII)
    except (regex.error, OverflowError, RecursionError) as error:
        raise PatternError(f"Pattern {pattern!r} is not valid: {error}.") from error


PART = re.compile(r"\\k<(\w+)>|\\u\{([0-9A-Fa-f]+)\}|\\.|\[\^?\]|\[\^?|.", re.DOTALL)
"""One part of a pattern: an escape, the start of a class, or a character."""
SPACE = r"\s\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
OUTSIDE_CLASSES = {
    "$": r"\Z",
    ".": r"[^\n\r\u2028\u2029]",
    r"\s": f"[{SPACE}]",
    r"\S": f"[^{SPACE}]",
    r"\z": r"\Z",
    "[]": "(?!)",
    "[^]": r"[\s\S]",
}
"""What ECMA-262 means by a part, for Python."""


def in_python(pattern: str) -> str:
    """Return a pattern of ECMA-262 as Python's libraries write it."""
    parts: list[str] = []
    within = False
    for found in PART.finditer(pattern):
        part = found[0]
        if found[1]:
            part = f"(?P={found[1]})"
        elif found[2]:
            part = f"\\U{int(found[2], 16):08x}"
        elif within:
            part = SPACE if part == r"\s" else part
        else:
            part = OUTSIDE_CLASSES.get(part, part)
        parts.append(part)
        within = (within or found[0] in ("[", "[^")) and found[0] != "]"
    return "".join(parts)
