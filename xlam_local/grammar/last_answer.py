"""The grammar of the last reply of a turn that has reached a limit: text in which no call begins.

With tool_choice `none` a call is text, so that a model may show one. A small model that was told to
answer would write only that.
"""

from __future__ import annotations

from ..gbnf import Chars, Literal, Repeat, Token, alt, complement, intersection, seq
from .call_opening import CALL_TAGS
from .reply_format import CALL_PLACE, OPTIONAL_SPACE, TEXT

NO_SPACE = Chars(((0x21, 0xD7FF), (0xE000, 0x10FFFF)))
ARRAY = seq(Literal("["), OPTIONAL_SPACE)
NAME_KEY = seq(Repeat(ARRAY, 1), Literal('"name"'))
JSON_OPENING = seq(OPTIONAL_SPACE, alt(seq(Repeat(ARRAY), Literal("{")), NAME_KEY))
CALL_START = seq(CALL_PLACE, alt(JSON_OPENING, *map(Literal, CALL_TAGS)))
LAST_ANSWER = Token(
    intersection(
        seq(NO_SPACE, Repeat(TEXT)),
        complement(seq(CALL_START, Repeat(TEXT))),
    )
)
