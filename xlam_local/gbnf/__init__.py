"""A grammar as nodes, and its text as GBNF (and as what the mask engine reads)."""

from __future__ import annotations

from .lark import lark
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
)
from .text import text

__all__ = [
    "Alt",
    "And",
    "Chars",
    "Grammar",
    "Lit",
    "Node",
    "Not",
    "Quoted",
    "Ref",
    "Repeat",
    "Seq",
    "Token",
    "lark",
    "text",
]
