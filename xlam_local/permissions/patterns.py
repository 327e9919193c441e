"""Match patterns with `*`: strictly for rules that allow, loosely for rules that ask or deny."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

STRICT_WILDCARD = r"(?:(?!\.\.)[^\x00-\x1f\x7f-\x9f\u2028\u2029;&|<>$`\\(){}\"'])"
"""One character that `*` covers in a strict match: no `..`, control character, line break or
shell metacharacter."""
ANY_CHARACTER = "(?s:.)"
MAX_PATH_CHARACTERS = 4096
_WHITESPACE = re.compile(r"\s+")
_REMOVE_QUOTES = str.maketrans("", "", "\"'\\`")


def match_name(pattern: str, name: str) -> bool:
    """Return whether a pattern matches the name of a tool or source; `*` matches any text."""
    return _glob(pattern, ANY_CHARACTER).fullmatch(name) is not None


def strict_match(pattern: str, text: str) -> bool:
    """Return whether a pattern matches exactly; `*` matches no `..` and no shell metacharacter."""
    return pattern == text or _glob(pattern, STRICT_WILDCARD).fullmatch(text) is not None


def strict_match_path(pattern: str, path: str) -> bool:
    """Return whether a pattern matches a resolved path; `*` stays in a folder, `**` does not."""
    if len(path) > MAX_PATH_CHARACTERS:
        return False
    parts = (re.escape(part).replace(r"\*", r"[^/\x00-\x1f]*") for part in pattern.split("**"))
    return re.fullmatch(r"[^\x00-\x1f]*".join(parts), path) is not None


def loose_match(pattern: str, text: str) -> bool:
    """Return whether a pattern matches, ignoring case, Unicode form and repeated whitespace."""
    return _glob(normalize(pattern), ANY_CHARACTER).fullmatch(normalize(text)) is not None


def loose_search(pattern: str, text: str) -> bool:
    """Return whether a pattern matches loosely from the start of any word of a command line.

    Quotes and backslashes are ignored, because a shell removes them.
    """
    first, *rest = normalize(pattern).split("*")
    start = rf"{ANY_CHARACTER}*?(?<!\w){re.escape(first)}"
    # If a `*` follows, a match from a later word is also a match from the first word.
    whole = f"(?>{start}){_glob_tail(rest, ANY_CHARACTER)}" if rest else start
    return re.match(rf"{whole}(?!\w)", normalize(text).translate(_REMOVE_QUOTES)) is not None


def normalize(text: str) -> str:
    """Return text in lower case and NFKC, without invisible characters or repeated whitespace."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    seen = (c for c in folded if unicodedata.category(c) != "Cf" and unicodedata.combining(c) == 0)
    return _WHITESPACE.sub(" ", "".join(seen)).strip()


def _glob(pattern: str, wildcard: str) -> re.Pattern[str]:
    first, *rest = pattern.split("*")
    return re.compile(re.escape(first) + (_glob_tail(rest, wildcard) if rest else ""))


def _glob_tail(parts: Sequence[str], wildcard: str) -> str:
    """Return the regular expression for literal parts that each follow a `*`.

    A part between two stars matches at its first occurrence only (an atomic group), because
    backtracking over all occurrences could take years on a crafted text.
    """
    *inner, last = map(re.escape, parts)
    return "".join(f"(?>{wildcard}*?{part})" for part in inner) + f"{wildcard}*{last}"
