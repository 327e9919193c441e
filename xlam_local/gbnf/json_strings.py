"""The spellings of a string's characters inside JSON quotes (RFC 8259, section 7).

Printable ASCII is written as itself, except for the quote and the backslash, which need an escape,
and the slash, which may have one. Every other character may be written in every way JSON allows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from ..regular.characters import ANY, Chars, intersect, negate, one_of, union
from ..regular.characters import chars as pairs
from ..regular.nodes import Alt, And, Literal, Node, Not, Repeat, Seq, alt, repeat, seq

SHORT_ESCAPES = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "\b": "b",
    "\f": "f",
    "\n": "n",
    "\r": "r",
    "\t": "t",
}
HEX = pairs("09afAF")
RAW = intersect(ANY, negate(union([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])))
PRINTABLE = pairs(" ~")

ANY_CHAR: Node = alt(
    RAW,
    seq(
        Literal("\\"),
        alt(
            one_of('"\\/bfnrt'),
            seq(
                Literal("u"),
                alt(
                    seq(pairs("09acefACEF"), repeat(HEX, 3, 3)),
                    seq(one_of("dD"), pairs("07"), repeat(HEX, 2, 2)),
                    seq(
                        one_of("dD"),
                        pairs("89abAB"),
                        repeat(HEX, 2, 2),
                        Literal("\\u"),
                        one_of("dD"),
                        pairs("cfCF"),
                        repeat(HEX, 2, 2),
                    ),
                ),
            ),
        ),
    ),
)


def literal(text: str) -> str:
    """Return the canonical spelling of a constant."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def as_json_text(node: Node) -> Node:
    """Return a node over decoded characters as a node over JSON text."""
    return AS_JSON_TEXT[type(node)](node)


def _literals_as_classes(node: Node) -> Node:
    """Return the node with its literals as character classes, which have all their spellings.

    An intersection or a complement is about the decoded text, however it is spelled.
    """
    match node:
        case Literal(text):
            return seq(*map(one_of, text))
        case Seq(parts):
            return seq(*map(_literals_as_classes, parts))
        case Alt(choices):
            return alt(*map(_literals_as_classes, choices))
        case Repeat(inner, least, most):
            return repeat(_literals_as_classes(inner), least, most)
    return node


@lru_cache(maxsize=1024)
def class_as_json_text(node: Chars) -> Node:
    """Return one character of the class in all its spellings."""
    if node == ANY:
        return ANY_CHAR
    raw = intersect(node, RAW)
    escaped = alt(*_escapes(node))
    return alt(
        *([raw] if raw.ranges else []),
        *([seq(Literal("\\"), escaped)] if escaped != Alt(()) else []),
    )


def _escapes(node: Chars) -> Iterator[Node]:
    """Yield what may follow a backslash for a character of the class."""
    short = [
        letter for char, letter in SHORT_ESCAPES.items() if intersect(node, one_of(char)).ranges
    ]
    if short:
        yield one_of("".join(short))
    for first, last in intersect(node, negate(PRINTABLE)).ranges:
        if first <= 0xFFFF:
            yield from (
                seq(Literal("u"), code) for code in _hex_numbers(first, min(last, 0xFFFF), 4)
            )
        if last > 0xFFFF:
            yield from _surrogate_pairs(max(first, 0x10000), last)


@lru_cache(maxsize=4096)
def _hex_numbers(first: int, last: int, digits: int) -> tuple[Node, ...]:
    """Return the hexadecimal numbers with `digits` digits from first to last."""
    return tuple(_hex_ranges(first, last, digits))


def _hex_ranges(first: int, last: int, digits: int) -> Iterator[Node]:
    if digits == 0:
        yield Seq(())
        return
    unit = 16 ** (digits - 1)
    low, high = first // unit, last // unit
    if low == high:
        yield from (
            seq(_digits(low, low), rest)
            for rest in _hex_numbers(first % unit, last % unit, digits - 1)
        )
        return
    if first % unit:
        yield from (
            seq(_digits(low, low), rest)
            for rest in _hex_numbers(first % unit, unit - 1, digits - 1)
        )
        low += 1
    top = (last + 1) % unit != 0
    if low <= high - top:
        yield seq(_digits(low, high - top), repeat(HEX, digits - 1, digits - 1))
    if top:
        yield from (
            seq(_digits(high, high), rest) for rest in _hex_numbers(0, last % unit, digits - 1)
        )


@lru_cache(maxsize=256)
def _digits(first: int, last: int) -> Chars:
    """Return the hexadecimal digits from first to last, in both cases."""
    digits = "0123456789abcdef"[first : last + 1]
    return one_of(digits + digits.upper())


def _surrogate_pairs(first: int, last: int) -> Iterator[Node]:
    """Yield the characters above U+FFFF as surrogate pairs of escapes."""
    low, high = first - 0x10000, last - 0x10000
    step = 0x400
    blocks = [(low, min(high, (low // step + 1) * step - 1))]
    if high // step > low // step:
        blocks += [
            ((low // step + 1) * step, (high // step) * step - 1),
            ((high // step) * step, high),
        ]
    for start, end in blocks:
        if start <= end:
            for lead in _hex_numbers(0xD800 + start // step, 0xD800 + end // step, 4):
                for trail in _hex_numbers(0xDC00 + start % step, 0xDC00 + end % step, 4):
                    yield seq(Literal("u"), lead, Literal("\\u"), trail)


AS_JSON_TEXT: dict[type, Callable[[Any], Node]] = {
    Literal: lambda node: Literal(literal(node.text)),
    Chars: class_as_json_text,
    Seq: lambda node: seq(*map(as_json_text, node.parts)),
    Alt: lambda node: alt(*map(as_json_text, node.choices)),
    Repeat: lambda node: repeat(as_json_text(node.node), node.minimum, node.maximum),
    And: lambda node: And(tuple(as_json_text(_literals_as_classes(part)) for part in node.parts)),
    Not: lambda node: And((Repeat(ANY_CHAR), Not(as_json_text(_literals_as_classes(node.node))))),
}
