"""Remove rules that match no finite text or cannot be reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..regular.nodes import NOTHING, Alt, Node, Ref, Repeat, Seq, alt, children, repeat, seq
from .grammar import Grammar


def prune(grammar: Grammar) -> Grammar:
    """Return an equivalent grammar with fewer rules; the start is NOTHING if no text matches."""
    ending = _terminating(grammar.rules)
    rules = grammar.rules
    if len(ending) < len(rules):
        rules = {name: _without(node, ending) for name, node in rules.items()}
    reached = _reached(rules)
    kept = {name: node for name, node in rules.items() if name in reached}
    comments = {name: text for name, text in grammar.comments.items() if name in kept}
    return replace(grammar, rules=kept, comments=comments)


def terminates(rules: Mapping[str, Node], name: str) -> bool:
    """Return whether a rule matches any finite text."""
    return name in _terminating(rules)


def _terminating(rules: Mapping[str, Node]) -> set[str]:
    """Return the rules that match any finite text."""
    ending: set[str] = set()
    waiting: dict[str, set[str]] = {}
    todo = list(rules)
    while todo:
        name = todo.pop()
        if name in ending:
            continue
        if _node_terminates(rules[name], ending):
            ending.add(name)
            todo.extend(waiting.pop(name, ()))
        else:
            for other in _missing(rules[name], ending):
                waiting.setdefault(other, set()).add(name)
    return ending


def _missing(node: Node, ending: set[str]) -> Iterable[str]:
    return (name for name in references(node) if name not in ending)


def _node_terminates(node: Node, ending: set[str]) -> bool:
    match node:
        case Ref(rule):
            return rule in ending
        case Seq(parts):
            return all(_node_terminates(part, ending) for part in parts)
        case Alt(choices):
            return any(_node_terminates(choice, ending) for choice in choices)
        case Repeat(inner, least):
            return least == 0 or _node_terminates(inner, ending)
        case _:
            return True


def _without(node: Node, ending: set[str]) -> Node:
    """Return the node without the parts that match no finite text."""
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
    """Return the rules that are reachable from the first one."""
    first = next(iter(rules))
    reached, todo = {first}, [first]
    while todo:
        for name in references(rules[todo.pop()]):
            if name not in reached:
                reached.add(name)
                todo.append(name)
    return reached


def references(node: Node) -> Iterable[str]:
    """Yield the names of the rules that a node refers to."""
    todo = [node]
    while todo:
        found = todo.pop()
        if isinstance(found, Ref):
            yield found.rule
        todo.extend(children(found))
