"""How the characters of a string are written inside JSON quotes.

Printable ASCII is written as itself, except for the quote and the backslash, which need an escape,
and the slash, which may have one. Every other character may be written in each way that JSON knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from .nodes import (
    ANY,
    Alt,
    And,
    Chars,
    Lit,
    Node,
    Not,
    Repeat,
    Seq,
    alt,
    common,
    negated,
    one_of,
    repeat,
    seq,
    union,
)
from .nodes import (
    chars as pairs,
)

SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
HEX = pairs("09afAF")
RAW = common(ANY, negated(union([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])))
PRINTABLE = pairs(" ~")

ANY_CHAR: Node = alt(
    RAW,
    seq(
        Lit("\\"),
        alt(
            one_of('"\\/bfnrt'),
            seq(
                Lit("u"),
                alt(
                    seq(pairs("09acefACEF"), repeat(HEX, 3, 3)),
                    seq(one_of("dD"), pairs("07"), repeat(HEX, 2, 2)),
                    seq(
                        one_of("dD"),
                        pairs("89abAB"),
                        repeat(HEX, 2, 2),
                        Lit("\\u"),
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
    """The one way in which a constant is written."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def spelled(node: Node) -> Node:
    """A node over decoded characters as one over JSON text."""
    return SPELLED[type(node)](node)


def _loose(node: Node) -> Node:
    """The node with constants character by character, each of which has all its spellings.

    What is met or ruled out is a text, however it is written.
    """
    match node:
        case Lit(text):
            return seq(*map(one_of, text))
        case Seq(parts):
            return seq(*map(_loose, parts))
        case Alt(choices):
            return alt(*map(_loose, choices))
        case Repeat(inner, least, most):
            return repeat(_loose(inner), least, most)
    return node


@lru_cache(maxsize=1024)
def chars(node: Chars) -> Node:
    """One character of the class, in each of its spellings."""
    if node == ANY:
        return ANY_CHAR
    raw = common(node, RAW)
    escaped = alt(*_escapes(node))
    return alt(
        *([raw] if raw.ranges else []), *([seq(Lit("\\"), escaped)] if escaped != Alt(()) else [])
    )


def _escapes(node: Chars) -> Iterator[Node]:
    """What may follow a backslash for a character of the class."""
    short = [letter for char, letter in SHORT.items() if common(node, one_of(char)).ranges]
    if short:
        yield one_of("".join(short))
    for first, last in common(node, negated(PRINTABLE)).ranges:
        if first <= 0xFFFF:
            yield from (seq(Lit("u"), code) for code in _hexes(first, min(last, 0xFFFF), 4))
        if last > 0xFFFF:
            yield from _pairs(max(first, 0x10000), last)


def _hexes(first: int, last: int, digits: int) -> Iterator[Node]:
    """Hexadecimal numbers of so many digits, from first to last."""
    if digits == 0:
        yield Seq(())
        return
    unit = 16 ** (digits - 1)
    low, high = first // unit, last // unit
    if low == high:
        yield from (
            seq(_digits(low, low), rest) for rest in _hexes(first % unit, last % unit, digits - 1)
        )
        return
    if first % unit:
        yield from (
            seq(_digits(low, low), rest) for rest in _hexes(first % unit, unit - 1, digits - 1)
        )
        low += 1
    top = (last + 1) % unit != 0
    if low <= high - top:
        yield seq(_digits(low, high - top), repeat(HEX, digits - 1, digits - 1))
    if top:
        yield from (seq(_digits(high, high), rest) for rest in _hexes(0, last % unit, digits - 1))


def _digits(first: int, last: int) -> Chars:
    """The hexadecimal digits from first to last, in both cases."""
    digits = "0123456789abcdef"[first : last + 1]
    return one_of(digits + digits.upper())


def _pairs(first: int, last: int) -> Iterator[Node]:
    """Characters beyond the first plane, as two escapes."""
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
            for lead in _hexes(0xD800 + start // step, 0xD800 + end // step, 4):
                for trail in _hexes(0xDC00 + start % step, 0xDC00 + end % step, 4):
                    yield seq(Lit("u"), lead, Lit("\\u"), trail)


SPELLED: dict[type, Callable[[Any], Node]] = {
    Lit: lambda node: Lit(literal(node.text)),
    Chars: chars,
    Seq: lambda node: seq(*map(spelled, node.parts)),
    Alt: lambda node: alt(*map(spelled, node.choices)),
    Repeat: lambda node: repeat(spelled(node.node), node.least, node.most),
    And: lambda node: And(tuple(spelled(_loose(part)) for part in node.parts)),
    Not: lambda node: And((Repeat(ANY_CHAR), Not(spelled(_loose(node.node))))),
}
