"""Grammars: rules of nodes, printed as GBNF (llama.cpp) or Lark (llguidance), parsed from GBNF."""

from __future__ import annotations

from ..regular.characters import ANY, Chars, chars, intersect, negate, one_of, union
from ..regular.dfa import DFA, TooLarge
from ..regular.nfa import is_empty, matches, to_dfa
from ..regular.nodes import (
    ANYTHING,
    EMPTY,
    NOTHING,
    Alt,
    And,
    AutomatonNode,
    Literal,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    alt,
    children,
    complement,
    conditions,
    contains_kind,
    intersection,
    nullable,
    optional,
    repeat,
    seq,
    token,
)
from .grammar import CallCount, Grammar
from .lark import to_lark
from .parse import parse_gbnf
from .printer import to_gbnf
from .prune import prune, terminates

__all__ = [
    "ANY",
    "ANYTHING",
    "DFA",
    "EMPTY",
    "NOTHING",
    "Alt",
    "And",
    "AutomatonNode",
    "CallCount",
    "Chars",
    "Grammar",
    "Literal",
    "Node",
    "Not",
    "Quoted",
    "Ref",
    "Repeat",
    "Seq",
    "Token",
    "TooLarge",
    "alt",
    "chars",
    "children",
    "complement",
    "conditions",
    "contains_kind",
    "intersect",
    "intersection",
    "is_empty",
    "matches",
    "negate",
    "nullable",
    "one_of",
    "optional",
    "parse_gbnf",
    "prune",
    "repeat",
    "seq",
    "terminates",
    "to_dfa",
    "to_gbnf",
    "to_lark",
    "token",
    "union",
]
