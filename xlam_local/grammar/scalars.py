"""Constants, strings, and values without a schema, in the tokens of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import groupby, permutations, takewhile
from math import floor
from typing import Any

from ..gbnf import (
    ANY,
    ANYTHING,
    EMPTY,
    Chars,
    Lit,
    Node,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    alt,
    both,
    chars,
    one_of,
    optional,
    repeat,
    seq,
    token,
)
from ..schema.shapes import exactly

COMMA, COLON = token(", "), token(": ")
FEW = 12
"""Longer lists of constants are written as a tree of their common beginnings."""
DIGITS = 20
"""Digits of a number before its point, and after it, at most."""


def constants(values: Iterable[Any], free: bool = False) -> Node:
    """Any one of these values; free: in any of their spellings."""
    plain = [value for value in values if not isinstance(value, list | dict)]
    nested = [constant(value, free) for value in values if isinstance(value, list | dict)]
    texts = list(dict.fromkeys(map(written, plain)))
    return alt(*([tokens(texts)] if texts else []), *nested)


def constant(value: Any, free: bool = False) -> Node:
    """A value in its one spelling, or with its keys in any order and its numbers in any form."""
    match value:
        case dict():
            pairs = [seq(key(name), COLON, constant(inner, free)) for name, inner in value.items()]
            orders = permutations(pairs) if free and len(pairs) <= ORDERED else [pairs]
            return seq(token("{"), alt(*(seq(*listed(order)) for order in orders)), token("}"))
        case list():
            items = [constant(inner, free) for inner in value]
            return seq(token("["), *listed(items), token("]"))
        case float() | int() if free and not isinstance(value, bool):
            return Token(number(value))
        case _:
            return token(written(value))


ORDERED = 3
"""Properties of a constant object that may come in any order."""


def number(value: float) -> Node:
    """A number as it was given, and in all of its spellings without an exponent."""
    exact = exactly(value)
    if exact.denominator > 10**DIGITS or abs(exact) > 10**DIGITS:
        return Lit(written(value))
    return alt(Lit(written(value)), spelled(exact))


def spelled(number: Fraction) -> Node:
    """A number in all of its spellings without an exponent."""
    whole, fraction = decimal(abs(number))
    zeros = repeat(Lit("0"), 0, DIGITS)
    point = seq(Lit("."), repeat(Lit("0"), 1, DIGITS))
    tail = seq(Lit("." + fraction), zeros) if fraction else optional(point)
    sign = Lit("-") if number < 0 else optional(Lit("-")) if number == 0 else EMPTY
    return seq(sign, Lit(str(whole)), tail)


def decimal(number: Fraction) -> tuple[int, str]:
    """A number's whole part and the digits of its fraction."""
    whole = floor(number)
    fraction, digits = number - whole, ""
    while fraction and len(digits) < DIGITS * 20:
        fraction *= 10
        digits += str(floor(fraction))
        fraction -= floor(fraction)
    return whole, digits


def written(value: Any) -> str:
    """A value as JSON text."""
    return json.dumps(value, ensure_ascii=False).translate(UNPRINTABLE)


UNPRINTABLE = {code: f"\\u{code:04x}" for code in (0x7F, *range(0xD800, 0xE000))}
"""Characters that JSON could hold as they are, but not every text can."""


def key(name: str) -> Node:
    """The name of a property, in quotes."""
    return token(written(name))


def listed(nodes: Sequence[Node]) -> list[Node]:
    """Nodes with commas between them."""
    return [part for node in nodes for part in (COMMA, node)][1:]


def trie(texts: Sequence[str], depth: int = 0) -> Node:
    """Sorted texts as a tree, in which a common beginning is written once."""
    if depth > DEEP:
        return alt(*map(Lit, texts))
    branches: list[Node] = []
    for _, group in groupby(texts, key=lambda text: text[:1]):
        same = list(group)
        start = _common(same[0], same[-1])
        rest = [text[len(start) :] for text in same]
        branches.append(seq(Lit(start), trie(rest, depth + 1)) if rest[1:] else Lit(same[0]))
    return alt(*(EMPTY if branch == Lit("") else branch for branch in branches))


DEEP = 20
"""Levels of a tree of constants; beyond, its texts stand side by side."""


def tokens(texts: list[str]) -> Node:
    """Any of these texts."""
    return Token(trie(sorted(texts))) if len(texts) > FEW else alt(*map(token, texts))


def _common(first: str, last: str) -> str:
    """The beginning that the first and the last of sorted texts share, so all of them do."""
    pairs = zip(first, last, strict=False)
    return "".join(char for char, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def bounded(node: Node, least: int, most: int | None) -> Node:
    """A regular node within bounds of length."""
    low, high = width(node)
    if least <= low and (most is None or (high is not None and high <= most)):
        return node
    if node == ANYTHING:
        return repeat(ANY, least, most)
    return _stretched(node, least, most) or both(node, Repeat(ANY, least, most))


def width(node: Node) -> tuple[int, int | None]:
    """The least and the greatest number of characters that a node matches."""
    match node:
        case Lit(text):
            return len(text), len(text)
        case Chars():
            return 1, 1
        case Seq(parts):
            widths = [width(part) for part in parts]
            return sum(low for low, _ in widths), _total([high for _, high in widths])
        case Repeat(inner, least, most):
            low, high = width(inner)
            return low * least, None if most is None or high is None else high * most
    return 0, None


def _total(widths: list[int | None]) -> int | None:
    known = [each for each in widths if each is not None]
    return sum(known) if len(known) == len(widths) else None


def _stretched(node: Node, least: int, most: int | None) -> Node | None:
    """The node with tighter counts, if its one loop over characters decides its length."""
    parts = node.parts if isinstance(node, Seq) else (node,)
    loops = [part for part in parts if width(part)[0] != width(part)[1]]
    if len(loops) != 1 or not isinstance(loops[0], Repeat) or width(loops[0].node) != (1, 1):
        return None
    loop, fixed = loops[0], sum(width(part)[0] for part in parts if part is not loops[0])
    low = max(loop.least, least - fixed)
    bounds = [
        each for each in (loop.most, None if most is None else most - fixed) if each is not None
    ]
    if bounds and min(bounds) < low:
        return None
    tight = repeat(loop.node, low, min(bounds, default=None))
    return seq(*(tight if part is loop else part for part in parts))


DIGIT = chars("09")
WHOLE = alt(Lit("0"), seq(chars("19"), repeat(DIGIT, 0, DIGITS - 1)))
FRACTION = seq(Lit("."), repeat(DIGIT, 1, DIGITS))
# 20 digits and an exponent of 279 stay below the greatest double, so every number is finite.
RAISED = seq(
    optional(Lit("+")),
    alt(repeat(DIGIT, 1, 2), seq(Lit("1"), repeat(DIGIT, 2, 2)), seq(Lit("2"), chars("07"), DIGIT)),
)
EXPONENT = seq(one_of("eE"), alt(RAISED, seq(Lit("-"), repeat(DIGIT, 1, 3))))

SHARED: dict[str, Node] = {
    "value": alt(*map(Ref, ("object", "array", "string", "number", "boolean", "null"))),
    "object": seq(
        token("{"), optional(seq(Ref("pair"), Repeat(seq(COMMA, Ref("pair"))))), token("}")
    ),
    "pair": seq(Ref("string"), COLON, Ref("value")),
    "array": seq(
        token("["), optional(seq(Ref("value"), Repeat(seq(COMMA, Ref("value"))))), token("]")
    ),
    "string": Quoted(ANYTHING),
    "integer": Token(seq(optional(Lit("-")), WHOLE)),
    "number": Token(seq(optional(Lit("-")), WHOLE, optional(FRACTION), optional(EXPONENT))),
    "boolean": alt(token("true"), token("false")),
    "null": token("null"),
}
"""Values that no schema says anything about."""
