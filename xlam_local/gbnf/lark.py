"""A grammar in the form of Lark that the mask engine, llguidance, reads.

Each token of the grammar becomes one terminal; everything else becomes rules. "And" and "not" are
left to the engine, which knows them. Text outside of tokens is read character by character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from . import spelling
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
    children,
    seq,
)
from .text import suffix

ANY_TEXT = "/(?s:.)*/"


def lark(grammar: Grammar) -> str:
    """The same grammar as Lark rules and terminals."""
    return "".join(_Writer(grammar).lines())


class _Writer:
    """Writes rules, and collects the terminals that they use."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.terminals: dict[Node, str] = {}
        names = [name for name in grammar.rules]
        self.names = {
            name: "start" if not number else _rule(name, number)
            for number, name in enumerate(names)
        }

    def lines(self) -> Iterator[str]:
        for name, node in self.grammar.rules.items():
            yield f"{self.names[name]}: {self.bare(node)}\n"
        for node, name in self.terminals.items():
            yield f"{name}: {terminal(node)}\n"

    def bare(self, node: Node) -> str:
        match node:
            case Token(inner):
                return self.terminal(inner)
            case Quoted(inner):
                return self.terminal(seq(Lit('"'), spelling.spelled(inner), Lit('"')))
            case Lit(text):
                return " ".join(self.terminal(Lit(char)) for char in text) or '""'
            case Chars() | And() | Not():
                return self.terminal(node)
            case Ref(rule):
                return self.names[rule]
            case Seq(parts):
                return " ".join(map(self.grouped, parts)) or '""'
            case Alt(choices):
                return " | ".join(map(self.grouped, choices)) or NEVER
            case Repeat(inner, least, most):
                return self.grouped(inner) + suffix(least, most)

    def grouped(self, node: Node) -> str:
        written = self.bare(node)
        return f"({written})" if " " in written else written

    def terminal(self, node: Node) -> str:
        return self.terminals.setdefault(node, f"T{len(self.terminals)}")


def terminal(node: Node) -> str:
    """A regular node as the body of a terminal."""
    if not _has_sets(node):
        return (
            json.dumps(node.text, ensure_ascii=False)
            if isinstance(node, Lit)
            else f"/{regex(node)}/"
        )
    match node:
        case And(parts):
            return " & ".join(f"({terminal(part)})" for part in parts)
        case Not(inner):
            return f"{ANY_TEXT} & ~({terminal(inner)})"
        case Seq(parts):
            return " ".join(f"({terminal(part)})" for part in parts)
        case Alt(choices):
            return " | ".join(f"({terminal(choice)})" for choice in choices)
        case Repeat(inner, least, most):
            return f"({terminal(inner)}){suffix(least, most)}"
        case _:
            raise TypeError("A terminal is regular.")


def regex(node: Node) -> str:
    """A regular node without "and" and "not" as a regular expression of Rust's."""
    match node:
        case Lit(text):
            return "".join(map(_char, map(ord, text)))
        case Chars(ranges):
            return (
                "["
                + "".join(f"{_char(a)}-{_char(b)}" if a < b else _char(a) for a, b in ranges)
                + "]"
            )
        case Seq(parts):
            return "".join(map(_atom, parts))
        case Alt(choices):
            return "|".join(map(regex, choices))
        case Repeat(inner, least, most):
            return f"(?:{regex(inner)}){suffix(least, most)}"
        case Token(inner):
            return regex(inner)
        case _:
            raise TypeError("A terminal is regular.")


def _atom(node: Node) -> str:
    return f"(?:{regex(node)})" if isinstance(node, Alt) else regex(node)


def _char(code: int) -> str:
    char = chr(code)
    return char if char.isalnum() and char.isascii() else f"\\x{{{code:X}}}"


def _has_sets(node: Node) -> bool:
    return isinstance(node, And | Not) or any(map(_has_sets, children(node)))


def _rule(name: str, number: int) -> str:
    plain = re.sub(r"[^a-z0-9]", "-", name.lower())
    return f"r{number}-{plain}"


NEVER = "/[^\\x{0}-\\x{10FFFF}]/"
