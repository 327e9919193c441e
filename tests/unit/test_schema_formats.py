"""String formats are enforced or validated as their RFCs define them."""

from __future__ import annotations

from typing import Any

import pytest

from xlam_local.grammar import compile_tools
from xlam_local.schema import validate
from xlam_local.types import Tool

RIGHT: dict[str, list[str]] = {
    "uri-template": ["http://e.org/{a}{?q,r*}", "", "{+path:3}/x", "a%20b", "{var.x}", "é{x}"],
    "uri-reference": ["abc", "/x", "#f", "//h/p", "http://h", ""],
    "iri": ["http://ƒøø.ßår/?∂éœ=πîx#πîüx", "urn:ä", "http://h/\U00010000"],
    "iri-reference": ["/âππ", "#ƒrägmênt", "âππ", ""],
    "json-pointer": ["", "/a~0b", "/~1", "//", "/é"],
    "relative-json-pointer": ["0", "1/a", "0#", "12"],
    "regex": ["^a+$", "(?=x)", r"\p{L}", ""],
    "idn-email": ["실례@실례.테스트", "joe@example.com", '"jo é"@example.com'],
    "idn-hostname": ["실례.테스트", "l·l", "example.com", "bücher。example"],
}
WRONG: dict[str, list[str]] = {
    "uri-template": ["{", "a}b", "{!!}", "a b", "{a:0}", "{}", "<x>", "%zz"],
    "uri-reference": ["\\\\W", "a b", "%x"],
    "iri": ["/abc", "âππ", "http:// x", "http://2001:0db8::1:x/", "urn:\ue000"],
    "iri-reference": ["\\\\WINDOWS\\filëß", "#ƒräg\\mênt", "a b"],
    "json-pointer": ["a", "/~2", "/~"],
    "relative-json-pointer": ["-1", "01", "/a", "0##", ""],
    "regex": ["(", "^(abc]", "*"],
    "idn-email": ["2962", "실례", "a@", "a@-x.org"],
    "idn-hostname": ["〮실례.실례", "-x", "a..b", "a·l", "실〮례.테스트", "a" * 254],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_format_is_checked(name: str) -> None:
    schema = {"type": "string", "format": name}
    assert [value for value in RIGHT[name] if validate(value, schema)] == []
    assert [value for value in WRONG[name] if not validate(value, schema)] == []


@pytest.mark.parametrize("name", RIGHT)
def test_a_format_is_enforced_by_the_grammar_or_reported_as_checked(name: str) -> None:
    schema: Any = {"properties": {"a": {"type": "string", "format": name}}}
    report = compile_tools([Tool("f", "", schema)]).report
    statuses = {entry.keyword: entry.status for entry in report}
    assert statuses["format"] == ("checked" if "idn" in name or name == "regex" else "exact")
