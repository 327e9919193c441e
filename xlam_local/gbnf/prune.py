"""A grammar without rules that can never be finished or never be reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .nodes import (
    NOTHING,
    Alt,
    Grammar,
    Node,
    Ref,
    Repeat,
    Seq,
    alt,
    children,
    repeat,
    seq,
)


def pruned(grammar: Grammar) -> Grammar:
    """The same language in fewer rules; the start is NOTHING if no text matches."""
    ending = _ending(grammar.rules)
    rules = grammar.rules
    if len(ending) < len(rules):
        rules = {name: _without(node, ending) for name, node in rules.items()}
    reached = _reached(rules)
    kept = {name: node for name, node in rules.items() if name in reached}
    return Grammar(kept, {name: text for name, text in grammar.comments.items() if name in kept})


def ends(rules: Mapping[str, Node], name: str) -> bool:
    """Whether a rule matches some finite text."""
    return name in _ending(rules)


def _ending(rules: Mapping[str, Node]) -> set[str]:
    """The rules that match some finite text."""
    ending: set[str] = set()
    waiting: dict[str, set[str]] = {}
    todo = list(rules)
    while todo:
        name = todo.pop()
        if name in ending:
            continue
        if _ends(rules[name], ending):
            ending.add(name)
            todo.extend(waiting.pop(name, ()))
        else:
            for other in _missing(rules[name], ending):
                waiting.setdefault(other, set()).add(name)
    return ending


def _missing(node: Node, ending: set[str]) -> Iterable[str]:
    return (name for name in references(node) if name not in ending)


def _ends(node: Node, ending: set[str]) -> bool:
    match node:
        case Ref(rule):
            return rule in ending
        case Seq(parts):
            return all(_ends(part, ending) for part in parts)
        case Alt(choices):
            return any(_ends(choice, ending) for choice in choices)
        case Repeat(inner, least):
            return least == 0 or _ends(inner, ending)
        case _:
            return True


def _without(node: Node, ending: set[str]) -> Node:
    """The node without what never ends."""
    match node:
        case Ref(rule):
            return node if rule in ending else NOTHING
        case Seq(parts):
            return seq(*(_without(part, ending) for part in parts))
        case Alt(choices):
            kept = (_without(choice, ending) for choice in choices)
            return alt(*(choice for choice in kept if choice != NOTHING))
        case Repeat(inner, least, most):
            return repeat(_without(inner, ending), least, most)
        case _:
            return node


def _reached(rules: Mapping[str, Node]) -> set[str]:
    """The rules that the first one needs."""
    first = next(iter(rules))
    reached, todo = {first}, [first]
    while todo:
        for name in references(rules[todo.pop()]):
            if name not in reached:
                reached.add(name)
                todo.append(name)
    return reached


def references(node: Node) -> Iterable[str]:
    """The rules that a node names."""
    todo = [node]
    while todo:
        found = todo.pop()
        if isinstance(found, Ref):
            yield found.rule
        todo.extend(children(found))
