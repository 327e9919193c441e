"""Search patterns that are not regular languages with the library `regex`, within a time limit."""

from __future__ import annotations

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
            return regex.compile(pattern, regex.VERSION0)
    except (regex.error, OverflowError, RecursionError) as error:
        raise PatternError(f"Pattern {pattern!r} is not valid: {error}.") from error
