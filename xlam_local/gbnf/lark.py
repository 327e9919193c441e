"""A grammar in the form of Lark that the mask engine, llguidance, reads.

Each token of the grammar becomes one terminal; everything else becomes rules. "And" and "not" are
left to the engine, which knows them. Text outside of tokens is read character by character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from .nodes import (
    Alt,
    And,
    Chars,
    Grammar,
    Lit,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    has,
    seq,
)
from .spelling import spelled
from .text import suffix

ANY_TEXT = "/(?s:.)*/"
NEVER = "/[^\\x{0}-\\x{10FFFF}]/"


def lark(grammar: Grammar) -> str:
    """The same grammar as Lark rules and terminals."""
    return "".join(_Writer(grammar).lines())


class _Writer:
    """Writes rules, and collects the terminals that they use."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.terminals: dict[Node, str] = {}
        self.names = {name: _rule(name, number) for number, name in enumerate(grammar.rules)}

    def lines(self) -> Iterator[str]:
        """All rules, then all terminals."""
        for name, node in self.grammar.rules.items():
            yield f"{self.names[name]}: {self.bare(node)}\n"
        for node, name in self.terminals.items():
            yield f"{name}: {terminal(node)}\n"

    def bare(self, node: Node) -> str:
        """A node as the body of a rule."""
        return RULES.get(type(node), _Writer.terminal)(self, node)

    def grouped(self, node: Node) -> str:
        """A node as a part of another one."""
        written = self.bare(node)
        return f"({written})" if " " in written else written

    def terminal(self, node: Node) -> str:
        """The name of the terminal for a regular node."""
        return self.terminals.setdefault(node, f"T{len(self.terminals)}")

    def token(self, node: Token) -> str:
        return self.terminal(node.node)

    def literal(self, node: Lit) -> str:
        return " ".join(self.terminal(Lit(char)) for char in node.text) or '""'

    def reference(self, node: Ref) -> str:
        return self.names[node.rule]

    def sequence(self, node: Seq) -> str:
        return " ".join(map(self.grouped, node.parts)) or '""'

    def alternatives(self, node: Alt) -> str:
        return " | ".join(map(self.grouped, node.choices)) or NEVER

    def repeated(self, node: Repeat) -> str:
        inner = self.grouped(node.node)
        # One sign after another is no Lark.
        inner = f"({inner})" if isinstance(node.node, Repeat) else inner
        return inner + suffix(node.least, node.most)


RULES: dict[type, Callable[[_Writer, Any], str]] = {
    Token: _Writer.token,
    Lit: _Writer.literal,
    Ref: _Writer.reference,
    Seq: _Writer.sequence,
    Alt: _Writer.alternatives,
    Repeat: _Writer.repeated,
}


@lru_cache(maxsize=4096)
def terminal(node: Node) -> str:
    """A regular node as the body of a terminal."""
    if isinstance(node, Quoted):
        return terminal(seq(Lit('"'), spelled(node.node), Lit('"')))
    if has(node, And, Not):
        return TERMINALS[type(node)](node)
    if isinstance(node, Lit):
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
    Repeat: lambda node: f"({terminal(node.node)}){suffix(node.least, node.most)}",
    Token: lambda node: terminal(node.node),
}


def regex(node: Node) -> str:
    """A regular node without "and" and "not" as a regular expression of Rust's."""
    return REGEXES[type(node)](node)


def _written(node: Lit) -> str:
    return "".join(_char(ord(char)) for char in node.text)


def _class(node: Chars) -> str:
    spans = (f"{_char(a)}-{_char(b)}" if a < b else _char(a) for a, b in node.ranges)
    return f"[{''.join(spans)}]"


def _atom(node: Node) -> str:
    return f"(?:{regex(node)})" if isinstance(node, Alt) else regex(node)


def _repeated(node: Repeat) -> str:
    inner = regex(node.node)
    alone = isinstance(node.node, Chars) or (isinstance(node.node, Lit) and len(inner) == 1)
    return (inner if alone else f"(?:{inner})") + suffix(node.least, node.most)


REGEXES: dict[type, Callable[[Any], str]] = {
    Lit: _written,
    Chars: _class,
    Seq: lambda node: "".join(map(_atom, node.parts)),
    Alt: lambda node: "|".join(map(regex, node.choices)) if node.choices else NEVER[1:-1],
    Repeat: _repeated,
    Token: lambda node: regex(node.node),
}


@lru_cache(maxsize=1024)
def _char(code: int) -> str:
    char = chr(code)
    return char if char.isalnum() and char.isascii() else f"\\x{{{code:X}}}"


def _rule(name: str, number: int) -> str:
    """A rule's name as Lark has it: in small letters, and the first one's is "start"."""
    return f"r{number}-{re.sub(r'[^a-z0-9]', '-', name.lower())}" if number else "start"
