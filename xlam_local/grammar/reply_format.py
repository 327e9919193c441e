"""The format of a reply: plain text, calls, or text followed by calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..gbnf import (
    Chars,
    Literal,
    Node,
    Ref,
    Repeat,
    Token,
    alt,
    chars,
    complement,
    intersection,
    seq,
    token,
)
from ..types import Schema
from .scalars import to_json

CALL_OPENING = '[{"name": "'
NEXT_CALL = ', {"name": "'
"""What stands between a call and the name of the next, in a list on one line."""
LINE_OPENING = '[\n    {"name": "'
NEXT_LINE = ',\n    {"name": "'
"""What stands between a call and the name of the next, if each call has a line of its own."""
ARGUMENTS = ', "arguments": '

TEXT = Chars(((1, 0xD7FF), (0xE000, 0x10FFFF)))
OPTIONAL_SPACE = Repeat(chars("  \t\n\r\r"))
FENCE = seq(Literal("```"), Repeat(chars("azAZ09--__")), OPTIONAL_SPACE)


def _spaced(*parts: str) -> Node:
    """Return literals with any space before each."""
    return seq(*(node for part in parts for node in (OPTIONAL_SPACE, Literal(part))))


LOOSE_CALL_OPENING = seq(Literal("["), _spaced("{", '"name"', ":", '"'))
"""The start of calls with any spacing, as models other than xLAM write it."""
TEXT_WITHOUT_FENCE = intersection(
    Repeat(TEXT), complement(seq(Repeat(TEXT), Literal("```"), Repeat(TEXT)))
)
CALL_PLACE = alt(
    seq(OPTIONAL_SPACE, Repeat(FENCE, 0, 1)),
    seq(TEXT_WITHOUT_FENCE, Literal("\n")),
)
"""What may stand before calls: nothing, a code fence, or lines of text without one."""
TEXT_WITHOUT_CALL = intersection(
    Repeat(TEXT), complement(seq(CALL_PLACE, LOOSE_CALL_OPENING, Repeat(TEXT)))
)
"""Text in which no calls begin; a call in a line or in code is an example."""
TEXT_AND_OPENING = intersection(
    seq(CALL_PLACE, LOOSE_CALL_OPENING),
    complement(seq(CALL_PLACE, LOOSE_CALL_OPENING, Repeat(TEXT, 1))),
)
"""Text up to the first opening of calls. Both are one lexeme, as the lexer does not backtrack."""


def root(choice: str, parallel: bool) -> Node:
    """Return the body of the rule "root"; the rule "call" follows an opening.

    If the model may also answer, calls may be spaced as the model likes: a model that is forced
    into another spacing than its own does not find their end.
    """
    match choice:
        case "none":
            return Token(Repeat(TEXT))
        case "auto":
            separator = Token(_spaced("}", ",", "{", '"name"', ":", '"'))
            closing = seq(Token(_spaced("}", "]")), Repeat(Token(_spaced("```")), 0, 1))
            return alt(
                Token(TEXT_WITHOUT_CALL),
                seq(Token(TEXT_AND_OPENING), _calls(separator, closing, parallel)),
            )
        case _:
            return _calls_on_one_line(parallel)


def root_of_other_models(parallel: bool, may_use_one_line: bool) -> Node:
    """Return the body of the rule "root" for calls that each have a line of their own.

    With `may_use_one_line`, all may also be on one line.
    """
    between, closing = token("}" + NEXT_LINE), token("}\n]")
    on_lines = seq(token(LINE_OPENING), _calls(between, closing, parallel))
    return alt(on_lines, _calls_on_one_line(parallel)) if may_use_one_line else on_lines


def _calls_on_one_line(parallel: bool) -> Node:
    between, closing = token("}" + NEXT_CALL), token("}]")
    return seq(token(CALL_OPENING), _calls(between, closing, parallel))


def end_and_next_call(calls: str) -> tuple[str, str]:
    """Return how a list of calls ends after the last one, and what stands before another call."""
    return ("\n]", NEXT_LINE) if calls.startswith(LINE_OPENING) else ("]", NEXT_CALL)


def _calls(separator: Node, closing: Node, parallel: bool) -> Node:
    more = Repeat(seq(separator, Ref("call"))) if parallel else seq()
    return seq(Ref("call"), more, closing)


def call(rules: Mapping[str, str]) -> Node:
    """Return what follows an opening: a tool's name, and the rule of its arguments."""
    return alt(
        *(
            seq(token(to_json(tool)[1:]), token(ARGUMENTS), Ref(rule))
            for tool, rule in rules.items()
        )
    )


def json_schema(tools: Mapping[str, Schema], parallel: bool) -> dict[str, Any]:
    """Return the JSON Schema of calls, by the schemas of the tools' arguments."""
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": name},
                "arguments": {"additionalProperties": False, **parameters},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for name, parameters in tools.items()
    ]
    most = {} if parallel else {"maxItems": 1}
    return {"type": "array", "minItems": 1, **most, "items": {"anyOf": calls}}
