"""Patterns that are no regular languages, searched by the library `regex` within a time."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

from ..gbnf import TooLarge
from .language import language
from .regex import PatternError


def searched(pattern: str, value: str, seconds: float) -> bool:
    """Whether a pattern is found in a string.

    Raises:
        PatternError: the pattern cannot be read.
        TimeoutError: it takes longer than that to tell.
    """
    return compiled(pattern).search(value, timeout=max(seconds, 0.001)) is not None


def unreadable(pattern: str) -> str:
    """Why a text is no regular expression, as a sentence; nothing if it is one."""
    try:
        language(pattern)
    except TooLarge:
        return ""
    except PatternError:
        try:
            compiled(pattern)
        except PatternError as error:
            return str(error)
    return ""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """The pattern as the library reads it.

    Raises:
        PatternError: it cannot be read.
    """
    import regex

    try:
        with warnings.catch_warnings(action="ignore"):  # of what a later version may read anew
            return regex.compile(pattern, regex.VERSION0)
    except (regex.error, OverflowError, RecursionError) as error:
        raise PatternError(f"The pattern {pattern!r} cannot be read: {error}.") from error
