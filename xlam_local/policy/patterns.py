"""Patterns: strict where they allow, wide where they deny."""

from __future__ import annotations

import re
import unicodedata

WILD = r"(?:(?!\.\.)[^\x00-\x1f\x7f-\x9f\u2028\u2029;&|<>$`\\(){}\"'])*"
"""What * stands for in a pattern that allows: no step up, no line break, nothing for a shell."""
_BLANKS = re.compile(r"\s+")
_QUOTING = str.maketrans("", "", "\"'\\`")


def names(pattern: str, name: str) -> bool:
    """Whether `pattern` fits the name of a tool or of a source: * is any run of characters."""
    return _glob(pattern, "(?s:.*)").fullmatch(name) is not None


def allows(pattern: str, text: str) -> bool:
    """Whether a pattern that allows fits: letter by letter, and * stands for plain text only."""
    return pattern == text or _glob(pattern, WILD).fullmatch(text) is not None


def allows_path(pattern: str, path: str) -> bool:
    """Whether a pattern that allows fits a real path: * stays in one folder, ** goes down."""
    parts = (re.escape(part).replace(r"\*", r"[^/\x00-\x1f]*") for part in pattern.split("**"))
    return re.fullmatch(r"[^\x00-\x1f]*".join(parts), path) is not None


def denies(pattern: str, text: str) -> bool:
    """Whether a pattern that denies fits, however its letters are spelled."""
    return _glob(plain(pattern), "(?s:.*)").fullmatch(plain(text)) is not None


def denies_within(pattern: str, text: str) -> bool:
    """Whether a pattern that denies fits from some word on: a command hides within others."""
    bare = plain(text).translate(_QUOTING)
    return re.search(rf"(?<!\w){_glob(plain(pattern), '(?s:.*)').pattern}(?!\w)", bare) is not None


def plain(text: str) -> str:
    """The text without what only looks: one case, one width, nothing invisible, single blanks."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    seen = (c for c in folded if unicodedata.category(c) != "Cf" and unicodedata.combining(c) == 0)
    return _BLANKS.sub(" ", "".join(seen)).strip()


def _glob(pattern: str, wild: str) -> re.Pattern[str]:
    return re.compile(wild.join(re.escape(part) for part in pattern.split("*")))
