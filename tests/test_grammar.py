from __future__ import annotations

from xlam_local.gbnf import lark, text
from xlam_local.grammar import for_turn
from xlam_local.types import Tool

ADD = Tool("math.add", "", {"type": "dict", "properties": {"a": {"type": "integer"}}})


def test_a_turn_offers_calls_or_text() -> None:
    offer = for_turn([ADD])
    assert offer.tools == (ADD,)
    assert text(offer.grammar).startswith("root ::= ")
    assert lark(offer.grammar).startswith("start: ")
