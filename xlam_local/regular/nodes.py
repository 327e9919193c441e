"""Nodes of regular expressions and grammars, and functions that build them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from ..time_limit import check_time_limit
from .characters import ANY, Chars, negate
from .dfa import DFA


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to a rule of the grammar; not regular."""

    rule: str


@dataclass(frozen=True, slots=True)
class Seq:
    """All parts in sequence."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """Any one of the choices; without choices it matches no text."""

    choices: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repetition; without a maximum it is unbounded."""

    node: Node
    minimum: int = 0
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class And:
    """The intersection of regular nodes: text that every part matches."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The complement of a regular node: text that it does not match."""

    node: Node


@dataclass(frozen=True, slots=True)
class Token:
    """Regular text that the lexer reads as one lexeme.

    If a grammar can continue in two ways, both split the text into the same lexemes, so a lexer
    without backtracking accepts exactly the language of the grammar.
    """

    node: Node


@dataclass(frozen=True, slots=True)
class Quoted:
    """A lexeme: a JSON string whose decoded characters a regular node matches."""

    node: Node


@dataclass(frozen=True, slots=True)
class AutomatonNode:
    """The language of a DFA; it is printed as rules of single characters."""

    automaton: DFA


Node = Literal | Chars | Ref | Seq | Alt | Repeat | And | Not | Token | Quoted | AutomatonNode


EMPTY = Seq(())
NO_TEXT = Literal("")
NOTHING = Alt(())


def seq(*parts: Node) -> Node:
    """Return the parts in sequence, flattened."""
    if any(part == NOTHING for part in parts):
        return NOTHING
    flat = tuple(part for part in _flat(parts, Seq) if part != NO_TEXT)
    return flat[0] if len(flat) == 1 else Seq(flat)


def alt(*choices: Node) -> Node:
    """Return the choices, flattened and without duplicates."""
    check_time_limit()
    flat = tuple(dict.fromkeys(_flat(choices, Alt)))
    return flat[0] if len(flat) == 1 else Alt(flat)


def repeat(node: Node, minimum: int = 0, maximum: int | None = None) -> Node:
    """Return the node repeated between `minimum` and `maximum` times, simplified."""
    if maximum == 0 or node == EMPTY:
        return EMPTY
    if node == NOTHING:
        return NOTHING if minimum else EMPTY
    if isinstance(node, Alt) and EMPTY in node.choices:
        return repeat(alt(*(each for each in node.choices if each != EMPTY)), 0, maximum)
    if (
        isinstance(node, Repeat)
        and node.minimum <= 1
        and (node.minimum == 0 or node.maximum is None)
    ):
        together = None if maximum is None or node.maximum is None else maximum * node.maximum
        return repeat(node.node, min(node.minimum, minimum), together)
    return node if minimum == maximum == 1 else Repeat(node, minimum, maximum)


def optional(node: Node) -> Node:
    """Return the node or the empty text."""
    return repeat(node, 0, 1)


def intersection(*parts: Node) -> Node:
    """Return the intersection of the parts, simplified."""
    flat = tuple(dict.fromkeys(part for part in _flat(parts, And) if part != ANYTHING))
    if NOTHING in flat:
        return NOTHING
    if not flat:
        return ANYTHING
    return flat[0] if len(flat) == 1 else And(flat)


def complement(node: Node) -> Node:
    """Return the complement of the node, simplified."""
    match node:
        case Not(inner):
            return inner
        case Seq((before, Chars() as each, after)) if before == after == ANYTHING:
            return Repeat(negate(each))
    return Not(node)


def token(text: str) -> Node:
    """Return the lexeme that is always this text."""
    return Token(Literal(text))


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct children of a node."""
    match node:
        case Seq(nodes) | Alt(nodes) | And(nodes):
            return nodes
        case Repeat(inner) | Not(inner) | Token(inner) | Quoted(inner):
            return (inner,)
        case _:
            return ()


def contains_kind(node: Node, *kinds: type) -> bool:
    """Return whether a node or a descendant is of one of these kinds."""
    todo = [node]
    while todo:
        found = todo.pop()
        if isinstance(found, kinds):
            return True
        todo.extend(children(found))
    return False


def may_match_nothing(node: Node) -> bool:
    """Return whether a node has a part that may match no text at all; False is certain."""
    todo = [node]
    while todo:
        match todo.pop():
            case And() | Not() | Alt(()) | Chars(()):
                return True
            case other:
                todo.extend(children(other))
    return False


def nullable(node: Node, empty: Container[str] = ()) -> bool:
    """Return whether a node matches the empty text, if the rules named in `empty` do."""
    match node:
        case Ref(rule):
            return rule in empty
        case Literal(text):
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
    """Return how many intersected parts a regular node has."""
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


ANYTHING: Node = Repeat(ANY)
