"""Limits on users' grammars, so that loading one exhausts neither memory nor the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from ..regular.nodes import Alt, Literal, Node, Ref, Repeat, Seq, children
from .grammar import Grammar
from .prune import references

MAX_SYMBOLS = 50_000
"""The most symbols of a grammar; llguidance counts them in 16 bits."""
MAX_RULE_DEPTH = 1000
"""The deepest nesting of rules and parentheses; llguidance's stack holds about 2,500."""
MAX_SHORTEST_TEXT_CHARS = 100_000
"""The most characters of the shortest text; forced text is expanded in one step."""


def exceeded_limit(grammar: Grammar) -> str | None:
    """Return which limit a grammar exceeds, as a sentence, or None."""
    rules = grammar.rules
    start = next(iter(rules))
    if sum(map(_symbols, rules.values())) > MAX_SYMBOLS:
        return f"The grammar has more than {MAX_SYMBOLS} parts."
    if name := _too_deep(rules, start):
        return f"The grammar is nested more than {MAX_RULE_DEPTH} levels deep, at rule {name!r}."
    if _shortest(rules)[start] > MAX_SHORTEST_TEXT_CHARS:
        return (
            f"The shortest text of the grammar has more than {MAX_SHORTEST_TEXT_CHARS} characters."
        )
    return None


def _symbols(node: Node) -> int:
    """Return the largest number of symbols that a reader creates for a node."""
    own = len(node.text) if isinstance(node, Literal) else 1
    return own + sum(map(_symbols, children(node)))


def _too_deep(rules: Mapping[str, Node], start: str) -> str | None:
    """Return the rule at which a depth-first reader exceeds the limit on nesting, or None."""
    seen, path = {start}, [(_references_with_depth(rules[start]), 0)]
    while path:
        names, level = path[-1]
        found = next(((name, deep) for name, deep in names if name not in seen), None)
        if found is None:
            path.pop()
            continue
        name, deep = found
        if level + deep > MAX_RULE_DEPTH:
            return name
        seen.add(name)
        path.append((_references_with_depth(rules[name]), level + deep))
    return None


def _references_with_depth(node: Node, level: int = 1) -> Iterator[tuple[str, int]]:
    """Yield the rules that a node refers to, in order, with their depth of parentheses."""
    if isinstance(node, Ref):
        yield node.rule, level
    for inner in children(node):
        yield from _references_with_depth(inner, level + 1)


def _shortest(rules: Mapping[str, Node]) -> Mapping[str, float]:
    """Return the length of each rule's shortest text (Dijkstra's algorithm)."""
    users: dict[str, set[str]] = {name: set() for name in rules}
    for name, node in rules.items():
        for other in references(node):
            users[other].add(name)
    known: dict[str, float] = {}
    todo: list[tuple[float, str]] = []

    def look(name: str) -> None:
        length = _length(rules[name], known)
        if name not in known and length <= MAX_SHORTEST_TEXT_CHARS:
            heappush(todo, (length, name))

    for name in rules:
        look(name)
    while todo:
        length, name = heappop(todo)
        if name not in known:
            known[name] = length
            for user in users[name]:
                look(user)
    return {name: known.get(name, INFINITE) for name in rules}


INFINITE = float("inf")


def _length(node: Node, known: Mapping[str, float]) -> float:
    match node:
        case Literal(text):
            return len(text)
        case Ref(rule):
            return known.get(rule, INFINITE)
        case Seq(parts):
            return sum(_length(part, known) for part in parts)
        case Alt(choices):
            return min((_length(choice, known) for choice in choices), default=INFINITE)
        case Repeat(inner, least):
            return least * _length(inner, known) if least else 0
        case _:
            return 1
