"""Texts that a grammar writes, drawn from its nodes without any model."""

from __future__ import annotations

import random
from collections.abc import Mapping

from xlam_local.gbnf import (
    DFA,
    Alt,
    And,
    AutomatonNode,
    Chars,
    Grammar,
    Literal,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
)
from xlam_local.gbnf.json_strings import as_json_text
from xlam_local.regular.nfa import to_dfa

DEEP = 30


def sample(grammar: Grammar, rng: random.Random) -> str:
    """One text of the grammar; deep inside, the shortest way out is taken."""
    return _Drawn(grammar.rules, rng).text(grammar.rules[next(iter(grammar.rules))], 0)


class _Drawn:
    def __init__(self, rules: Mapping[str, Node], rng: random.Random) -> None:
        self.rules = rules
        self.rng = rng
        self.height = _heights(rules)

    def text(self, node: Node, depth: int) -> str:  # noqa: PLR0911
        match node:
            case Literal(text):
                return text
            case Chars(ranges):
                first, last = self.rng.choice(ranges)
                return chr(self.rng.choice((first, last, self.rng.randint(first, last))))
            case Ref(rule):
                return self.text(self.rules[rule], depth + 1)
            case Seq(parts):
                return "".join(self.text(part, depth) for part in parts)
            case Alt(choices):
                return self.text(self.chosen(choices, depth), depth)
            case Repeat(inner, least, most):
                extra = 0 if depth > DEEP else self.rng.choice((0, 0, 1, 2, 3))
                count = least + extra if most is None else min(least + extra, most)
                return "".join(self.text(inner, depth) for _ in range(count))
            case Token(inner):
                return self.text(inner, depth)
            case Quoted(inner):
                return '"' + self.quoted(inner) + '"'
            case And() | Not() | AutomatonNode():
                return self.walked(to_dfa(node))

    def chosen(self, choices: tuple[Node, ...], depth: int) -> Node:
        if depth <= DEEP:
            return self.rng.choice(choices)
        return min(choices, key=lambda choice: _height(choice, self.height))

    def quoted(self, inner: Node) -> str:
        characters = self.walked(to_dfa(inner))
        return "".join(self.text(as_json_text(Chars(((ord(c), ord(c)),))), 0) for c in characters)

    def walked(self, machine: DFA) -> str:
        state, text = 0, ""
        while not (state in machine.final and (self.rng.random() < 0.3 or len(text) > 80)):
            steps = list(machine.steps(state))
            if not steps:
                break
            state, chars = self.rng.choice(steps)
            text += self.text(chars, 0)
        return text


def _heights(rules: Mapping[str, Node]) -> dict[str, int]:
    """For each rule how deep its shallowest text is."""
    heights = dict.fromkeys(rules, 10_000)
    changed = True
    while changed:
        changed = False
        for name, node in rules.items():
            height = _height(node, heights)
            if height < heights[name]:
                heights[name], changed = height, True
    return heights


def _height(node: Node, heights: Mapping[str, int]) -> int:
    match node:
        case Ref(rule):
            return heights[rule] + 1
        case Seq(parts):
            return max((_height(part, heights) for part in parts), default=0)
        case Alt(choices):
            return min((_height(choice, heights) for choice in choices), default=10_000)
        case Repeat(inner, least):
            return _height(inner, heights) if least else 0
        case _:
            return 0
