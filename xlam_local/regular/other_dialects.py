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
EMPTY_CLASS = re.compile(r"(?:\\.|[^\\\[]|\[(?!\])(?:\\.|[^\\\]])*\])*\[\]", re.DOTALL)
NEGATED_CLASS = re.compile(r"\[\^(?:\\.|[^\\\]])*\]", re.DOTALL)
HALF_PAIR = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
SHORT_PROPERTY = re.compile(r"(?<!\\)(?:\\\\)*\\([pP])([LMNPSZC])")
DOUBLE_ESCAPE = re.compile(r"\\\\([dDwWsS])(?![A-Za-z])")


def misread_syntax(pattern: str) -> str:
    """Return what in a pattern is probably meant in another dialect; "" if nothing is."""
    return next((why for find in FINDERS for why in find(pattern)), "")


def _delimiters(pattern: str) -> Iterator[str]:
    if whole := DELIMITED.fullmatch(pattern):
        inner, flags = whole.groups()
        if flags or inner.startswith("^") or inner.endswith("$"):
            instead = "; for the flag i, write (?i) at its start" if "i" in flags else ""
            yield (
                "its slashes match slashes in the text; they do not delimit the pattern. "
                f"Remove them{instead}"
            )


def _classes(pattern: str) -> Iterator[str]:
    for name in POSIX_CLASS.findall(pattern):
        if name in POSIX_CLASSES:
            yield (
                f"[:{name}:] is read as single characters, not as a class. "
                f"Write {POSIX_CLASSES[name]} within the brackets"
            )
    if CLASS_INTERSECTION.search(pattern):
        yield "&& in brackets is read as two characters, not as an intersection"
    if EMPTY_CLASS.match(pattern):
        yield "[] is a class without characters, which matches nothing. Write \\] for a bracket"


def _escapes(pattern: str) -> Iterator[str]:
    if double := DOUBLE_ESCAPE.search(pattern):
        yield (
            f"two backslashes match a backslash, followed by the letter {double[1]}. Write one "
            "backslash (two in JSON)"
        )
    if half := HALF_PAIR.search(NEGATED_CLASS.sub("", pattern)):
        yield (
            f"{half[0]} is half of a surrogate pair, which no text contains. Write the whole "
            "character, such as \\u{1F600}"
        )
    if short := SHORT_PROPERTY.search(pattern):
        letter, name = short.groups()
        yield f"\\{letter}{name} is read as the letters {letter}{name}; write \\{letter}{{{name}}}"
    for letter in ESCAPE.findall(pattern):
        if letter.isascii() and letter.isalpha() and letter not in ESCAPE_LETTERS:
            yield f"\\{letter} is read as the letter {letter}"


FINDERS = (_delimiters, _classes, _escapes)
