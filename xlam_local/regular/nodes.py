"""The nodes of a grammar, and short ways to write them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .automaton import Automaton

LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lit:
    """Exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of sorted, separate ranges of code points."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """Whatever the named rule matches."""

    rule: str


@dataclass(frozen=True, slots=True)
class Seq:
    """All parts, one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """Any one of the choices; with no choices, nothing at all."""

    choices: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A node several times over."""

    node: Node
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class And:
    """Text that every part matches; the parts are regular."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Text that a regular node does not match."""

    node: Node


@dataclass(frozen=True, slots=True)
class Token:
    """Regular text that a lexer takes in one piece.

    Wherever a grammar can go on in two ways, both ways cut the text into the same tokens:
    a lexer that never steps back then reads exactly what the grammar says.
    """

    node: Node


@dataclass(frozen=True, slots=True)
class Quoted:
    """A token: a JSON string whose decoded characters a regular node matches."""

    node: Node


@dataclass(frozen=True, slots=True)
class Machine:
    """What an automaton accepts; only rules of single characters can say it to a lexer."""

    automaton: Automaton


Node = Lit | Chars | Ref | Seq | Alt | Repeat | And | Not | Token | Quoted | Machine


@dataclass(frozen=True, slots=True)
class Grammar:
    """Named rules; the first one is the start."""

    rules: Mapping[str, Node]
    comments: Mapping[str, str] = field(default_factory=dict)
    """What a reader wants to know about a rule, by its name."""


EMPTY = Seq(())
NO_TEXT = Lit("")
NOTHING = Alt(())


def seq(*parts: Node) -> Node:
    """The parts one after the other, without needless nesting."""
    if any(part == NOTHING for part in parts):
        return NOTHING
    flat = tuple(part for part in _flat(parts, Seq) if part != NO_TEXT)
    return flat[0] if len(flat) == 1 else Seq(flat)


def alt(*choices: Node) -> Node:
    """Any of the choices, each of them once."""
    flat = tuple(dict.fromkeys(_flat(choices, Alt)))
    return flat[0] if len(flat) == 1 else Alt(flat)


def repeat(node: Node, least: int = 0, most: int | None = None) -> Node:
    """The node at least and at most so often."""
    if most == 0 or node == EMPTY:
        return EMPTY
    if node == NOTHING:
        return NOTHING if least else EMPTY
    if isinstance(node, Alt) and EMPTY in node.choices:
        return repeat(alt(*(each for each in node.choices if each != EMPTY)), 0, most)
    if isinstance(node, Repeat) and node.least <= 1 and (node.least == 0 or node.most is None):
        together = None if most is None or node.most is None else most * node.most
        return repeat(node.node, min(node.least, least), together)
    return node if least == most == 1 else Repeat(node, least, most)


def optional(node: Node) -> Node:
    """The node or nothing."""
    return repeat(node, 0, 1)


def both(*parts: Node) -> Node:
    """Text that every part matches."""
    flat = tuple(dict.fromkeys(part for part in _flat(parts, And) if part != ANYTHING))
    if NOTHING in flat:
        return NOTHING
    if not flat:
        return ANYTHING
    return flat[0] if len(flat) == 1 else And(flat)


def without(node: Node) -> Node:
    """Text that the node does not match."""
    match node:
        case Not(inner):
            return inner
        case Seq((before, Chars() as each, after)) if before == after == ANYTHING:
            return Repeat(negated(each))
    return Not(node)


def token(text: str) -> Node:
    """A token that is always the same."""
    return Token(Lit(text))


def chars(pairs: str) -> Chars:
    """A class written as pairs of first and last characters: "azAZ09"."""
    return union(
        (ord(first), ord(last)) for first, last in zip(pairs[::2], pairs[1::2], strict=True)
    )


def one_of(text: str) -> Chars:
    """Any character of the text."""
    return union((ord(char), ord(char)) for char in text)


def union(ranges: Iterable[Range]) -> Chars:
    """A class of all these ranges."""
    return Chars(reduce(_joined, sorted(ranges), ()))


def negated(chars: Chars) -> Chars:
    """Every character that is not in the class; surrogates are never characters."""
    edges = [0, *(edge for first, last in chars.ranges for edge in (first, last + 1)), LAST + 1]
    gaps = ((first, after - 1) for first, after in zip(edges[::2], edges[1::2], strict=True))
    return _whole(gaps)


def common(left: Chars, right: Chars) -> Chars:
    """The characters of both classes."""
    return union(
        (max(a, c), min(b, d))
        for a, b in left.ranges
        for c, d in right.ranges
        if max(a, c) <= min(b, d)
    )


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right under a node."""
    match node:
        case Seq(nodes) | Alt(nodes) | And(nodes):
            return nodes
        case Repeat(inner) | Not(inner) | Token(inner) | Quoted(inner):
            return (inner,)
        case _:
            return ()


def has(node: Node, *kinds: type) -> bool:
    """Whether a node is of one of these kinds, or has one inside."""
    todo = [node]
    while todo:
        found = todo.pop()
        if isinstance(found, kinds):
            return True
        todo.extend(children(found))
    return False


def nullable(node: Node, empty: Container[str] = ()) -> bool:
    """Whether a node matches no text at all, too, when the rules named `empty` do."""
    match node:
        case Ref(rule):
            return rule in empty
        case Lit(text):
            return not text
        case Repeat(inner, least):
            return least == 0 or nullable(inner, empty)
        case Not(inner):
            return not nullable(inner, empty)
        case Seq(()):
            return True
    inside = [nullable(inner, empty) for inner in children(node)]
    return any(inside) if isinstance(node, Alt) else bool(inside) and all(inside)


def conditions(node: Node) -> int:
    """How many conditions a regular node asks for on the same text."""
    todo, count = [node], 0
    while todo:
        found = todo.pop()
        count += len(found.parts) if isinstance(found, And) else 0
        todo.extend(children(found))
    return count


def _flat(nodes: Iterable[Node], kind: type[Seq] | type[Alt] | type[And]) -> Iterator[Node]:
    for node in nodes:
        if isinstance(node, kind):
            yield from children(node)
        else:
            yield node


def _joined(done: tuple[Range, ...], new: Range) -> tuple[Range, ...]:
    if done and new[0] <= done[-1][1] + 1:
        return (*done[:-1], (done[-1][0], max(done[-1][1], new[1])))
    return (*done, new)


def _whole(ranges: Iterable[Range]) -> Chars:
    low, high = SURROGATES
    cut = (
        (a, b)
        for first, last in ranges
        for a, b in ((first, min(last, low - 1)), (max(first, high + 1), last))
    )
    return union((a, b) for a, b in cut if a <= b)


ANY = Chars(((0, SURROGATES[0] - 1), (SURROGATES[1] + 1, LAST)))
ANYTHING: Node = Repeat(ANY)
