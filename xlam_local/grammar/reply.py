"""The shape of a reply: plain text, or calls that may come after text."""

from __future__ import annotations

from collections.abc import Mapping

from ..gbnf import (
    Chars,
    Lit,
    Node,
    Ref,
    Repeat,
    Token,
    alt,
    both,
    chars,
    seq,
    token,
    without,
)
from .scalars import written

OPENING = '[{"name": "'
ARGUMENTS = ', "arguments": '

TEXT = Chars(((1, 0xD7FF), (0xE000, 0x10FFFF)))
GAP = Repeat(chars("  \t\n\r\r"))
OPENED = seq(Lit("["), GAP, Lit("{"), GAP, Lit('"name"'), GAP, Lit(":"), GAP, Lit('"'))
"""An opening as models write it that were not taught xLAM's, in a code fence for example."""
PLAIN = both(Repeat(TEXT), without(seq(Repeat(TEXT), OPENED, Repeat(TEXT))))
"""Text in which no call begins."""


def root(choice: str, parallel: bool) -> Node:
    """The start of a reply's grammar; the rule "call" holds what comes after an opening."""
    more = Repeat(seq(token("}, " + OPENING[1:]), Ref("call"))) if parallel else seq()
    calls = seq(Ref("call"), more, token("}]"))
    match choice:
        case "none":
            return Token(PLAIN)
        case "auto":
            # Text and opening are one token: a lexer that has read the text cannot step back.
            return alt(Token(PLAIN), seq(Token(seq(PLAIN, OPENED)), calls))
        case _:
            return seq(token(OPENING), calls)


def call(rules: Mapping[str, str]) -> Node:
    """What comes after an opening: a tool's name, and the rule for its arguments."""
    return alt(
        *(
            seq(token(written(tool)[1:]), token(ARGUMENTS), Ref(rule))
            for tool, rule in rules.items()
        )
    )
