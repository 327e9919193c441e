from __future__ import annotations

import itertools
import re
import unicodedata

import pytest

from xlam_local.gbnf import matches
from xlam_local.regular.characters import SURROGATES
from xlam_local.regular.ecma_regex import PatternError, unicode_category
from xlam_local.regular.nfa import to_dfa
from xlam_local.regular.pattern_language import pattern_language
from xlam_local.schema.formats import format_strings as format_shape
from xlam_local.schema.strings import contains

FOLLOWED = [
    *("^abc$", "abc", "^a", "b$", "^$", "", "^[^a]", "a|^b|c$", r"^\w+-?$", "(^|x)a", "^a{2}"),
    *("b{1,2}$", "^a$|^b$", "a||b", "(a|^)b$", "$", "^", "a+?b*", "^(?:ab){2,}$", "[^abc]"),
    *(r"^(?!ab)[a-c]+$", r"^(?=.*a)(?=.*b)[abc]{2,3}$", "^((?!ab).)*$", "a(?!b)", "(?=a)b"),
    *("a(?=b|c$)", "(?!a)", r"\bab\b", r"\Bb", r"\b", r"^[a-b]*\bc", "^(a|b)*c?$", "(?i)^AB$"),
    *("^(?:a(?=b)b?){1,2}c$", "^(?:(?!ab).){2,}$", "(?i)^[A-b]+$", "^((?!$).)*$", r"^ab\b"),
    *(r"^(?:ab-)\bb", "^(?:a|(?!b)c)?$", "^(?:ab|c)\\b", r"^(?:x(?!x)){2}$"),
    *("(?P<name>a)b", "(?<name>a)b", r"^[\w-]+$", r"[a\-c]", r"^\x61\u0062$", r"^.{2,3}$", "^{a"),
]
WORDS = ["".join(word) for size in range(5) for word in itertools.product("abcx- ", repeat=size)]


@pytest.mark.parametrize("pattern", FOLLOWED)
def test_a_pattern_finds_what_pythons_finds(pattern: str) -> None:
    node = pattern_language(pattern)
    machine = to_dfa(node)
    python = re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", pattern))
    for word in WORDS:
        assert matches(node, word) == machine.matches(word) == bool(python.search(word)), word


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        (r"^\d$", "7", "\u0667"),
        (r"^\s$", "\ufeff", "\x1c"),
        (r"^\p{L}+$", "éß漢", "a1"),
        (r"^\P{Lu}$", "a", "A"),
        (r"^\u{1F600}$", "😀", "x"),
        (r"^\ud83d\ude00$", "😀", "x"),
        (r"^\cJ\t\0[\b]$", "\n\t\0\b", "J"),
        (r"^[\d\-x]$", "-", "\\"),
        (r"^[\w-.]$", ".", "!"),
        (r"^.$", "\x85", "\u2028"),
        (r"^\/\_\q$", "/_q", "x"),
        (r"^\p{Any}\x4$", "\nx4", "x4"),
        ("^(?i:a)b$", "Ab", "aB"),
        ("^((?i)a)b$", "Ab", "aB"),
        ("^a(?i)b$", "aB", "Ab"),
        ("(?i)^ß$", "ß", "S"),
        ("(?i)^[äöü]+$", "ÄÖü", "a"),
        (r"^(?:\ud83d\uXYZW|a)$", "a", "\ufffduXYZW"),
        (r"^(?:[\ud800-\udbff][\udc00-\udfff]|[\u2700-\u27bf])$", "\u2700", "😀"),
    ],
)
def test_patterns_are_read_as_ecmascript_reads_them(
    pattern: str, inside: str, outside: str
) -> None:
    assert matches(pattern_language(pattern), inside)
    assert not matches(pattern_language(pattern), outside)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "[a", "a**", "*", "[b-a]", "a{3,1}", "\\", "(?<n", r"\u{110000}", r"\p{Nix}"),
        *(r"(a)\1", "(?<=a)b", "(?<!a)b", "a++", "(?s)a", "((a{1,999}){1,999}){1,999}"),
        *(r"(a|b)*\bc", "(?:a*^b)", "^(?:a|b(?!c))+$"),
    ],
)
def test_a_pattern_that_cannot_be_followed_says_so(pattern: str) -> None:
    with pytest.raises(PatternError):
        pattern_language(pattern)


FORMATS: dict[str, tuple[list[str], list[str]]] = {
    "date": (["2024-02-29", "2000-02-29", "1999-12-31"], ["2023-02-29", "1900-02-29", "2024-4-1"]),
    "time": (
        ["23:59:60Z", "08:30:06.28Z", "08:30:06+01:00"],
        ["24:00:00Z", "12:00:00", "8:30:06Z"],
    ),
    "date-time": (["2024-02-29T23:59:59Z", "1990-12-31t23:59:60z"], ["2024-02-29 23:59:59Z"]),
    "duration": (["P4DT12H30M5S", "P2W", "PT1M"], ["P", "PT", "P1D2H", "P2D1Y", "1D"]),
    "email": (["joe.bloggs@example.com", '"a b"@x.org', "a@[127.0.0.1]"], ["joe", "a..b@x", "@x"]),
    "hostname": (["a", "www.example.com", "a-b.c"], ["-a", "a_b", "a..b", "a" * 64, "a." * 130]),
    "ipv4": (["127.0.0.1", "255.255.255.255"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
    "ipv6": (
        ["::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::8"],
        ["1:2", ":::", "12345::", "1::2::3"],
    ),
    "uuid": (["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380"]),
    "uri": (["http://a.b/c?d=e#f", "urn:x:y", "mailto:a@b"], ["/relative", "http:// a", "a b"]),
    "uri-reference": (["/a/b", "//x", "", "#f"], ["\\a", "a b", "http://a/%zz"]),
    "json-pointer": (["", "/a/~0~1"], ["a", "/~2"]),
    "relative-json-pointer": (["0", "1/a", "2#"], ["-1", "01", "/a"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_followed(name: str) -> None:
    right, wrong = FORMATS[name]
    shape = format_shape(name)
    assert shape is not None
    assert [word for word in right if not contains(shape, word)] == []
    assert [word for word in wrong if contains(shape, word)] == []


@pytest.mark.slow
def test_unicode_categories_have_the_characters_of_unicodes_table() -> None:
    expected: dict[str, set[int]] = {}
    for code in range(0x110000):
        if not SURROGATES[0] <= code <= SURROGATES[1]:
            expected.setdefault(unicodedata.category(chr(code)), set()).add(code)
    for name, codes in expected.items():
        spans = unicode_category(name).ranges
        assert {code for first, last in spans for code in range(first, last + 1)} == codes
    letters = sum(len(codes) for name, codes in expected.items() if name.startswith("L"))
    assert sum(last - first + 1 for first, last in unicode_category("Letter").ranges) == letters
