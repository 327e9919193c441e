"""Print a grammar in llguidance's dialect of Lark.

https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md describes it. Each lexeme of the
grammar becomes one terminal, everything else becomes rules. llguidance supports intersection and
complement in terminals. Text outside of lexemes is read character by character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from ..regular.characters import Chars
from ..regular.nodes import (
    Alt,
    And,
    Literal,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    contains_kind,
    seq,
)
from .grammar import Grammar
from .json_strings import as_json_text
from .printer import repetition_operator

ANY_TEXT = "/(?s:.)*/"
NO_CHAR = "/[^\\x{0}-\\x{10FFFF}]/"


def to_lark(grammar: Grammar) -> str:
    """Return the grammar as Lark rules and terminals."""
    return "".join(_LarkPrinter(grammar).lines())


class _LarkPrinter:
    """Prints rules, and collects the terminals that they use."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.terminals: dict[Node, str] = {}
        self.names = {name: _rule(name, number) for number, name in enumerate(grammar.rules)}

    def lines(self) -> Iterator[str]:
        """Yield all rules, then all terminals."""
        for name, node in self.grammar.rules.items():
            yield f"{self.names[name]}: {self.body(node)}\n"
        for node, name in self.terminals.items():
            yield f"{name}: {terminal(node)}\n"

    def body(self, node: Node) -> str:
        """Return a node as the body of a rule."""
        return RULES.get(type(node), _LarkPrinter.terminal)(self, node)

    def operand(self, node: Node) -> str:
        """Return a node as an operand, in parentheses if needed."""
        written = self.body(node)
        return f"({written})" if " " in written else written

    def terminal(self, node: Node) -> str:
        """Return the name of the terminal of a regular node."""
        return self.terminals.setdefault(node, f"T{len(self.terminals)}")

    def token(self, node: Token) -> str:
        return self.terminal(node.node)

    def literal(self, node: Literal) -> str:
        return " ".join(self.terminal(Literal(char)) for char in node.text) or '""'

    def reference(self, node: Ref) -> str:
        return self.names[node.rule]

    def sequence(self, node: Seq) -> str:
        return " ".join(map(self.operand, node.parts)) or '""'

    def alternatives(self, node: Alt) -> str:
        return " | ".join(map(self.operand, node.choices)) or NO_CHAR

    def repetition(self, node: Repeat) -> str:
        inner = self.operand(node.node)
        # Lark has no operator after an operator.
        inner = f"({inner})" if isinstance(node.node, Repeat) else inner
        return inner + repetition_operator(node.minimum, node.maximum)


RULES: dict[type, Callable[[_LarkPrinter, Any], str]] = {
    Token: _LarkPrinter.token,
    Literal: _LarkPrinter.literal,
    Ref: _LarkPrinter.reference,
    Seq: _LarkPrinter.sequence,
    Alt: _LarkPrinter.alternatives,
    Repeat: _LarkPrinter.repetition,
}


@lru_cache(maxsize=4096)
def terminal(node: Node) -> str:
    """Return a regular node as the body of a terminal."""
    if isinstance(node, Quoted):
        return terminal(seq(Literal('"'), as_json_text(node.node), Literal('"')))
    if contains_kind(node, And, Not):
        return TERMINALS[type(node)](node)
    if isinstance(node, Literal):
        return json.dumps(node.text, ensure_ascii=False)
    return f"/{regex(node)}/" if node != Seq(()) else '""'


def _joined(separator: str) -> Callable[[Any], str]:
    def joined(node: And | Seq | Alt) -> str:
        parts = node.choices if isinstance(node, Alt) else node.parts
        return separator.join(f"({terminal(part)})" for part in parts)

    return joined


TERMINALS: dict[type, Callable[[Any], str]] = {
    And: _joined(" & "),
    Seq: _joined(" "),
    Alt: _joined(" | "),
    Not: lambda node: f"{ANY_TEXT} & ~({terminal(node.node)})",
    Repeat: lambda node: (
        f"({terminal(node.node)}){repetition_operator(node.minimum, node.maximum)}"
    ),
    Token: lambda node: terminal(node.node),
}


def regex(node: Node) -> str:
    """Return a regular node without intersection and complement as a regular expression of Rust."""
    return REGEXES[type(node)](node)


def _written(node: Literal) -> str:
    return "".join(_char(ord(char)) for char in node.text)


def _class(node: Chars) -> str:
    spans = (f"{_char(a)}-{_char(b)}" if a < b else _char(a) for a, b in node.ranges)
    return f"[{''.join(spans)}]"


def _atom(node: Node) -> str:
    return f"(?:{regex(node)})" if isinstance(node, Alt) else regex(node)


def _repeated(node: Repeat) -> str:
    inner = regex(node.node)
    alone = isinstance(node.node, Chars) or (isinstance(node.node, Literal) and len(inner) == 1)
    return (inner if alone else f"(?:{inner})") + repetition_operator(node.minimum, node.maximum)


REGEXES: dict[type, Callable[[Any], str]] = {
    Literal: _written,
    Chars: _class,
    Seq: lambda node: "".join(map(_atom, node.parts)),
    Alt: lambda node: "|".join(map(regex, node.choices)) if node.choices else NO_CHAR[1:-1],
    Repeat: _repeated,
    Token: lambda node: regex(node.node),
}


@lru_cache(maxsize=1024)
def _char(code: int) -> str:
    char = chr(code)
    return char if char.isalnum() and char.isascii() else f"\\x{{{code:X}}}"


def _rule(name: str, number: int) -> str:
    """Return the Lark name of a rule: lower case; the first rule is "start"."""
    return f"r{number}-{re.sub(r'[^a-z0-9]', '-', name.lower())}" if number else "start"
