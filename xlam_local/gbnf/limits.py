"""What a grammar from outside may ask for, so that nothing that loads it runs out of anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from .nodes import Alt, Grammar, Lit, Node, Ref, Repeat, Seq, children
from .prune import references

PARTS = 50_000
"""Parts of a grammar; llguidance counts them in 16 bits."""
LEVELS = 1000
"""Rules inside of rules, each with its brackets; llguidance has a stack for some 2,500."""
LENGTH = 100_000
"""Characters of the shortest text; forced text is laid out at once."""


def problem(grammar: Grammar) -> str | None:
    """What a grammar asks too much of, as a sentence."""
    rules = grammar.rules
    start = next(iter(rules))
    if sum(map(_parts, rules.values())) > PARTS:
        return f"The grammar has more than {PARTS} parts."
    if name := _too_deep(rules, start):
        return f"The rules lead more than {LEVELS} levels deep, down to {name!r}."
    if _shortest(rules)[start] > LENGTH:
        return f"The shortest text of the grammar has more than {LENGTH} characters."
    return None


def _parts(node: Node) -> int:
    """How many symbols a reader makes of a node, at most."""
    own = len(node.text) if isinstance(node, Lit) else 1
    return own + sum(map(_parts, children(node)))


def _too_deep(rules: Mapping[str, Node], start: str) -> str | None:
    """The rule at which one who follows each rule where it is first named gets too deep."""
    seen, path = {start}, [(_named(rules[start]), 0)]
    while path:
        names, level = path[-1]
        found = next(((name, deep) for name, deep in names if name not in seen), None)
        if found is None:
            path.pop()
            continue
        name, deep = found
        if level + deep > LEVELS:
            return name
        seen.add(name)
        path.append((_named(rules[name]), level + deep))
    return None


def _named(node: Node, level: int = 1) -> Iterator[tuple[str, int]]:
    """The rules that a node names, in order, and in how many brackets."""
    if isinstance(node, Ref):
        yield node.rule, level
    for inner in children(node):
        yield from _named(inner, level + 1)


def _shortest(rules: Mapping[str, Node]) -> Mapping[str, float]:
    """The length of each rule's shortest text: the shortest of all is known first."""
    users: dict[str, set[str]] = {name: set() for name in rules}
    for name, node in rules.items():
        for other in references(node):
            users[other].add(name)
    known: dict[str, float] = {}
    todo: list[tuple[float, str]] = []

    def look(name: str) -> None:
        length = _length(rules[name], known)
        if name not in known and length <= LENGTH:
            heappush(todo, (length, name))

    for name in rules:
        look(name)
    while todo:
        length, name = heappop(todo)
        if name not in known:
            known[name] = length
            for user in users[name]:
                look(user)
    return {name: known.get(name, ENDLESS) for name in rules}


ENDLESS = float("inf")


def _length(node: Node, known: Mapping[str, float]) -> float:
    match node:
        case Lit(text):
            return len(text)
        case Ref(rule):
            return known.get(rule, ENDLESS)
        case Seq(parts):
            return sum(_length(part, known) for part in parts)
        case Alt(choices):
            return min((_length(choice, known) for choice in choices), default=ENDLESS)
        case Repeat(inner, least):
            return least * _length(inner, known) if least else 0
        case _:
            return 1
