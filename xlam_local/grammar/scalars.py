"""Nodes for constants, bounded strings, and values without a schema."""

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
    Literal,
    Node,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    alt,
    chars,
    intersection,
    one_of,
    optional,
    repeat,
    seq,
    token,
)
from ..schema.value_sets import exact_fraction

COMMA, COLON = token(", "), token(": ")
MAX_FLAT_CONSTANTS = 12
"""More constants than this are written as a trie of their common prefixes."""
MAX_DIGITS = 20
"""The most digits of a number before its decimal point, and after it."""


def constants(values: Iterable[Any], any_spelling: bool = False) -> Node:
    """Return any of these values, in all their spellings if `any_spelling`."""
    plain = [value for value in values if not isinstance(value, list | dict)]
    nested = [constant(value, any_spelling) for value in values if isinstance(value, list | dict)]
    texts = list(dict.fromkeys(map(to_json, plain)))
    return alt(*([tokens(texts)] if texts else []), *nested)


def constant(value: Any, any_spelling: bool = False) -> Node:
    """Return a value in its canonical spelling, or with keys in any order and all number forms."""
    match value:
        case dict():
            pairs = [
                seq(key(name), COLON, constant(inner, any_spelling))
                for name, inner in value.items()
            ]
            orders = (
                permutations(pairs) if any_spelling and len(pairs) <= MAX_PERMUTED_KEYS else [pairs]
            )
            return seq(token("{"), alt(*(seq(*with_commas(order)) for order in orders)), token("}"))
        case list():
            items = [constant(inner, any_spelling) for inner in value]
            return seq(token("["), *with_commas(items), token("]"))
        case float() | int() if any_spelling and not isinstance(value, bool):
            return Token(constant_number(value))
        case _:
            return token(to_json(value))


MAX_PERMUTED_KEYS = 3
"""The most properties of a constant object that may come in any order."""


def constant_number(value: float) -> Node:
    """Return a number as given, and in all its spellings without an exponent."""
    exact = exact_fraction(value)
    if exact.denominator > 10**MAX_DIGITS or abs(exact) > 10**MAX_DIGITS:
        return Literal(to_json(value))
    return alt(Literal(to_json(value)), number_spellings(exact))


def number_spellings(number: Fraction) -> Node:
    """Return a number in all its spellings without an exponent."""
    whole, fraction = decimal(abs(number))
    zeros = repeat(Literal("0"), 0, MAX_DIGITS)
    point = seq(Literal("."), repeat(Literal("0"), 1, MAX_DIGITS))
    tail = seq(Literal("." + fraction), zeros) if fraction else optional(point)
    sign = Literal("-") if number < 0 else optional(Literal("-")) if number == 0 else EMPTY
    return seq(sign, Literal(str(whole)), tail)


def decimal(number: Fraction) -> tuple[int, str]:
    """Return a number's integer part and the digits of its fraction."""
    whole = floor(number)
    fraction, digits = number - whole, ""
    while fraction and len(digits) < MAX_DIGITS * 20:
        fraction *= 10
        digits += str(floor(fraction))
        fraction -= floor(fraction)
    return whole, digits


def to_json(value: Any) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False).translate(UNPRINTABLE)


UNPRINTABLE = {code: f"\\u{code:04x}" for code in (0x7F, *range(0xD800, 0xE000))}
"""Characters that are escaped: DEL and surrogates."""


def key(name: str) -> Node:
    """Return the name of a property in quotes."""
    return token(to_json(name))


def with_commas(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes separated by commas."""
    return [part for node in nodes for part in (COMMA, node)][1:]


def trie(texts: Sequence[str], depth: int = 0) -> Node:
    """Return sorted texts as a trie: a common prefix is written once."""
    if depth > MAX_TRIE_DEPTH:
        return alt(*map(Literal, texts))
    branches: list[Node] = []
    for _, group in groupby(texts, key=lambda text: text[:1]):
        same = list(group)
        start = _common(same[0], same[-1])
        rest = [text[len(start) :] for text in same]
        branches.append(
            seq(Literal(start), trie(rest, depth + 1)) if rest[1:] else Literal(same[0])
        )
    return alt(*(EMPTY if branch == Literal("") else branch for branch in branches))


MAX_TRIE_DEPTH = 20
"""The deepest level of a trie; deeper texts are alternatives."""


def tokens(texts: list[str]) -> Node:
    """Return any of these texts."""
    return (
        Token(trie(sorted(texts))) if len(texts) > MAX_FLAT_CONSTANTS else alt(*map(token, texts))
    )


def _common(first: str, last: str) -> str:
    """Return the common prefix of sorted texts, given the first and the last."""
    pairs = zip(first, last, strict=False)
    return "".join(char for char, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def bounded(node: Node, least: int, most: int | None) -> Node:
    """Return a regular node restricted to a length."""
    low, high = width(node)
    if least <= low and (most is None or (high is not None and high <= most)):
        return node
    if node == ANYTHING:
        return repeat(ANY, least, most)
    return _tighten_loop(node, least, most) or intersection(node, Repeat(ANY, least, most))


def width(node: Node) -> tuple[int, int | None]:
    """Return the least and the greatest number of characters that a node matches."""
    match node:
        case Literal(text):
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


def _tighten_loop(node: Node, least: int, most: int | None) -> Node | None:
    """Return the node with tighter counts if a single character loop decides its length."""
    parts = node.parts if isinstance(node, Seq) else (node,)
    loops = [part for part in parts if width(part)[0] != width(part)[1]]
    if len(loops) != 1 or not isinstance(loops[0], Repeat) or width(loops[0].node) != (1, 1):
        return None
    loop, fixed = loops[0], sum(width(part)[0] for part in parts if part is not loops[0])
    low = max(loop.minimum, least - fixed)
    bounds = [
        each for each in (loop.maximum, None if most is None else most - fixed) if each is not None
    ]
    if bounds and min(bounds) < low:
        return None
    tight = repeat(loop.node, low, min(bounds, default=None))
    return seq(*(tight if part is loop else part for part in parts))


DIGIT = chars("09")
WHOLE = alt(Literal("0"), seq(chars("19"), repeat(DIGIT, 0, MAX_DIGITS - 1)))
FRACTION = seq(Literal("."), repeat(DIGIT, 1, MAX_DIGITS))
# 20 digits and an exponent of 279 stay below the greatest double, so every number is finite.
RAISED = seq(
    optional(Literal("+")),
    alt(
        repeat(DIGIT, 1, 2),
        seq(Literal("1"), repeat(DIGIT, 2, 2)),
        seq(Literal("2"), chars("07"), DIGIT),
    ),
)
EXPONENT = seq(one_of("eE"), alt(RAISED, seq(Literal("-"), repeat(DIGIT, 1, 3))))

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
    "integer": Token(seq(optional(Literal("-")), WHOLE)),
    "number": Token(seq(optional(Literal("-")), WHOLE, optional(FRACTION), optional(EXPONENT))),
    "boolean": alt(token("true"), token("false")),
    "null": token("null"),
}
"""Rules for values without a schema."""
