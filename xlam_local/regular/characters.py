"""Character classes: sets of Unicode code points without surrogates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MAX_CODE_POINT = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a class, as sorted, disjoint, inclusive ranges of code points."""

    ranges: tuple[Range, ...]


def chars(pairs: str) -> Chars:
    """Return the class of the ranges written as pairs of characters: "azAZ09"."""
    return union(
        (ord(first), ord(last)) for first, last in zip(pairs[::2], pairs[1::2], strict=True)
    )


def one_of(text: str) -> Chars:
    """Return the class of the characters of a text."""
    return union((ord(char), ord(char)) for char in text)


def union(ranges: Iterable[Range]) -> Chars:
    """Return the class of all these ranges."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return Chars(tuple(merged))


def negate(chars: Chars) -> Chars:
    """Return the class of all other characters; surrogates belong to no class."""
    edges = [
        0,
        *(edge for first, last in chars.ranges for edge in (first, last + 1)),
        MAX_CODE_POINT + 1,
    ]
    gaps = ((first, after - 1) for first, after in zip(edges[::2], edges[1::2], strict=True))
    return _without_surrogates(gaps)


def intersect(left: Chars, right: Chars) -> Chars:
    """Return the characters that are in both classes."""
    return union(_overlaps(left.ranges, right.ranges))


def _overlaps(left: Sequence[Range], right: Sequence[Range]) -> Iterator[Range]:
    """Yield the ranges that two sorted lists of ranges share, in one pass along both."""
    one = other = 0
    while one < len(left) and other < len(right):
        (first, last), (also_first, also_last) = left[one], right[other]
        if max(first, also_first) <= min(last, also_last):
            yield max(first, also_first), min(last, also_last)
        if last < also_last:
            one += 1
        else:
            other += 1


def _without_surrogates(ranges: Iterable[Range]) -> Chars:
    low, high = SURROGATES
    cut = (
        (a, b)
        for first, last in ranges
        for a, b in ((first, min(last, low - 1)), (max(first, high + 1), last))
    )
    return union((a, b) for a, b in cut if a <= b)


ANY = Chars(((0, SURROGATES[0] - 1), (SURROGATES[1] + 1, MAX_CODE_POINT)))
