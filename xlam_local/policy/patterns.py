"""Patterns: strict where they allow, wide where they deny."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

WILD = r"(?:(?!\.\.)[^\x00-\x1f\x7f-\x9f\u2028\u2029;&|<>$`\\(){}\"'])"
"""What * stands for some of in a pattern that allows: no step up, no line, nothing for a shell."""
ANY = "(?s:.)"
LONGEST_PATH = 4096
_BLANKS = re.compile(r"\s+")
_QUOTING = str.maketrans("", "", "\"'\\`")


def names(pattern: str, name: str) -> bool:
    """Whether `pattern` fits the name of a tool or of a source: * is any run of characters."""
    return _glob(pattern, ANY).fullmatch(name) is not None


def allows(pattern: str, text: str) -> bool:
    """Whether a pattern that allows fits: letter by letter, and * stands for plain text only."""
    return pattern == text or _glob(pattern, WILD).fullmatch(text) is not None


def allows_path(pattern: str, path: str) -> bool:
    """Whether a pattern that allows fits a real path: * stays in one folder, ** goes down."""
    if len(path) > LONGEST_PATH:
        return False
    parts = (re.escape(part).replace(r"\*", r"[^/\x00-\x1f]*") for part in pattern.split("**"))
    return re.fullmatch(r"[^\x00-\x1f]*".join(parts), path) is not None


def denies(pattern: str, text: str) -> bool:
    """Whether a pattern that denies fits, however its letters are spelled."""
    return _glob(plain(pattern), ANY).fullmatch(plain(text)) is not None


def denies_within(pattern: str, text: str) -> bool:
    """Whether a pattern that denies fits from some word on: a command hides within others."""
    first, *rest = plain(pattern).split("*")
    begins = rf"{ANY}*?(?<!\w){re.escape(first)}"
    # What fits from a later word on fits from the first one on, where a star comes after it.
    whole = f"(?>{begins}){_after(rest, ANY)}" if rest else begins
    return re.match(rf"{whole}(?!\w)", plain(text).translate(_QUOTING)) is not None


def plain(text: str) -> str:
    """The text without what only looks: one case, one width, nothing invisible, single blanks."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    seen = (c for c in folded if unicodedata.category(c) != "Cf" and unicodedata.combining(c) == 0)
    return _BLANKS.sub(" ", "".join(seen)).strip()


def _glob(pattern: str, wild: str) -> re.Pattern[str]:
    first, *rest = pattern.split("*")
    return re.compile(re.escape(first) + (_after(rest, wild) if rest else ""))


def _after(parts: Sequence[str], wild: str) -> str:
    """A pattern for parts with a star before each.

    A part between two stars is taken where it comes first, and not looked for again: else a text
    could be made that takes years to be compared.
    """
    *inner, last = map(re.escape, parts)
    return "".join(f"(?>{wild}*?{part})" for part in inner) + f"{wild}*{last}"
