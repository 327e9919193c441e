"""Find syntax of other regular-expression dialects, which ECMA-262 reads as something else."""

from __future__ import annotations

import re
from collections.abc import Iterator

POSIX_CLASSES = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r" \t",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-\/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}
"""What to write instead, within brackets."""
ESCAPE_LETTERS = frozenset("dDwWsSbBtnvfrcxupPkAZzae")
"""Letters whose escapes have a meaning here."""
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
DELIMITED = re.compile(r"/(.*)/([dgimsuvyx]*)", re.DOTALL)
POSIX_CLASS = re.compile(r"\[[^\]]*\[:\^?([a-z]+):\]")
CLASS_INTERSECTION = re.compile(r"(?<!\\)\[[^\]]*&&\[")
DOUBLE_ESCAPE = re.compile(r"\\\\([dDwWsS])(?![A-Za-z])")


def misread_syntax(pattern: str) -> str:
    """Return what in a pattern is probably meant in another dialect; "" if nothing is."""
    return next(_findings(pattern), "")


def _findings(pattern: str) -> Iterator[str]:
    if whole := DELIMITED.fullmatch(pattern):
        inner, flags = whole.groups()
        if flags or inner.startswith("^") or inner.endswith("$"):
            instead = "; for the flag i, write (?i) at its start" if "i" in flags else ""
            yield (
                "its slashes match slashes in the text; they do not delimit the pattern. "
                f"Remove them{instead}"
            )
    for name in POSIX_CLASS.findall(pattern):
        if name in POSIX_CLASSES:
            yield (
                f"[:{name}:] is read as single characters, not as a class. "
                f"Write {POSIX_CLASSES[name]} within the brackets"
            )
    if CLASS_INTERSECTION.search(pattern):
        yield "&& in brackets is read as two characters, not as an intersection"
    if double := DOUBLE_ESCAPE.search(pattern):
        yield (
            f"two backslashes match a backslash, followed by the letter {double[1]}. Write one "
            "backslash (two in JSON)"
        )
    for letter in ESCAPE.findall(pattern):
        if letter.isascii() and letter.isalpha() and letter not in ESCAPE_LETTERS:
            yield f"\\{letter} is read as the letter {letter}"
