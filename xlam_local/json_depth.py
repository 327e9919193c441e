"""The limit on how deeply JSON may be nested."""

from __future__ import annotations

from collections.abc import Mapping

MAX_JSON_DEPTH = 100
"""Levels of nesting; deeper values would overflow the stack of recursive code."""


def exceeds_depth(value: object, limit: int = MAX_JSON_DEPTH) -> bool:
    """Return whether a JSON value is nested more than `limit` levels."""
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
    return bool(level)
