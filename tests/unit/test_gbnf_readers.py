"""The printed GBNF means the same to llama.cpp, llguidance's GBNF reader and xgrammar.

xgrammar takes part if it is installed; its package needs PyTorch, so the test extra lacks it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.leaderboard import load_cases
from tests.fakes.gbnf_readers import READERS
from tests.fakes.grammar_checks import needs_vocabulary
from tests.fakes.grammar_sampler import sample
from tests.fakes.resources import is_downloaded
from tests.fakes.toolsets import TOOLSETS
from xlam_local.gbnf import (
    NOTHING,
    Alt,
    Grammar,
    Literal,
    Node,
    Ref,
    Repeat,
    Token,
    alt,
    negate,
    one_of,
    parse_gbnf,
    seq,
    to_gbnf,
)
from xlam_local.gbnf import chars as chars_between
from xlam_local.grammar import compile_tools
from xlam_local.tool_definition import read_tool
from xlam_local.types import Tool

pytestmark = needs_vocabulary

CATEGORIES = ("simple_python", "multiple", "live_multiple", "parallel_multiple")
ODD = "\x01\t\n\r\x1f !\"#$&'()*+,-./09:<=>?@AFGZ[\\]^_`afgz{|}~\x7f\x80\x85\xa0\xad\xff"
ODD += "\u0100\u0378\u061c\u0fff\u1000\u2028\u202e\ufeff\ufffd\uffff\ud7ff\ue000"
ODD += "\U00010000\U0001f600\U0001fffe\U000e0001\U0010fffe\U0010ffff"


def agree(gbnf: str, texts: list[str]) -> list[bool]:
    """Return which texts a grammar accepts; all readers must agree."""
    readers = {name: load(gbnf) for name, load in READERS.items()}
    verdicts = []
    for text in texts:
        found = {name: accepts(text) for name, accepts in readers.items()}
        assert len(set(found.values())) == 1, (text, found, gbnf)
        verdicts.append(next(iter(found.values())))
    return verdicts


def mutations(text: str, rng: random.Random) -> Iterator[str]:
    """Yield texts that differ from `text` in one place."""
    place = rng.randrange(len(text) + 1)
    yield text[:place] + text[place + 1 :]
    yield text[:place] + rng.choice(ODD) + text[place:]
    yield text[:place]
    yield text.replace(rng.choice(["true", '"', "1", ", ", "{"]), rng.choice(["0", "", "null"]))


def check_tools(tools: tuple[Tool, ...], rng: random.Random) -> None:
    compiled = compile_tools(tools, "required")
    texts = [sample(compiled.grammar, rng) for _ in range(2)]
    written = [other for text in texts for other in (text, *mutations(text, rng))]
    verdicts = agree(to_gbnf(compiled.grammar), written)
    assert verdicts[0]
    assert not all(verdicts)


@pytest.mark.parametrize("name", TOOLSETS)
def test_all_readers_agree_on_calls(name: str) -> None:
    check_tools(TOOLSETS[name], random.Random(name))


@pytest.mark.skipif(not is_downloaded("bfcl"), reason="the leaderboard is not downloaded")
@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_all_readers_agree_on_tools_of_the_leaderboard(count: int) -> None:
    for category in CATEGORIES:
        for case, _ in load_cases(category, count):
            tools = tuple(read_tool(entry, "") for entry in case["function"])
            check_tools(tools, random.Random(case["id"]))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.text(ODD, min_size=1, max_size=8), st.integers(0, 999))
def test_all_readers_agree_on_odd_characters(word: str, seed: int) -> None:
    rng = random.Random(seed)
    low, high = sorted(rng.sample(sorted(ODD), 2))
    nodes: list[Node] = [
        Literal(word),
        Repeat(Literal(word), 2, 3),
        one_of(word),
        negate(one_of(f"{word}\0")),  # llama.cpp's grammars cannot contain NUL
        seq(Literal("<"), alt(chars_between(f"{low}{high}"), one_of(word)), Literal("b>")),
    ]
    for node in nodes:
        grammar = Grammar({"root": Token(node)})
        texts = [word, word * 2, *word, low, high, f"<{low}b>", f"<{high}b>", f"<{word[0]}b>"]
        verdicts = agree(to_gbnf(grammar), [sample(grammar, rng), *texts, f"{word}b", ""])
        assert verdicts[0]
        assert agree(to_gbnf(parse_gbnf(to_gbnf(grammar))), [*texts, ""]) == [
            *verdicts[1:-2],
            verdicts[-1],
        ]


def test_an_escape_is_not_followed_by_a_digit() -> None:
    # xgrammar would read the "0" of `\\x2D0-9` and the "b" of `\\x01b` as a part of the escape.
    grammar = Grammar({"root": seq(one_of("-.0123^bc"), Literal("\x01b\x1fg"))})
    assert to_gbnf(grammar) == 'root ::= [\\x2D.0-3bc\\x5E] ("\\x01" "b\\x1Fg")\n'
    assert agree(to_gbnf(grammar), ["-\x01b\x1fg", "^\x01b\x1fg", "0\x01b\x1fg", "-\x1b\x1fg"]) == [
        True,
        True,
        True,
        False,
    ]


def test_an_alternative_without_texts_is_read() -> None:
    grammar = Grammar({"root": Alt((Literal("a"), NOTHING))})
    assert agree(to_gbnf(grammar), ["a", "", "\U0010ffff", "b"]) == [True, False, False, False]


def test_names_of_rules_that_readers_confuse_are_told_apart() -> None:
    names = ["start", "a-b", "a_b", "A-B", "aB", "_", "1a", "größe", "rule-start", "root-s0", "x.y"]
    choices = [seq(Literal(f"{number}"), Ref(name)) for number, name in enumerate(names)]
    rules: dict[str, Node] = {name: Literal(name) for name in names}
    rules = {"root": alt(*choices, seq(Literal("!"), Repeat(Literal("ab"), 1500, 1500))), **rules}
    texts = [f"{number}{name}" for number, name in enumerate(names)]
    assert agree(to_gbnf(Grammar(rules)), [*texts, "0a-b"]) == [True] * len(names) + [False]


def test_a_users_grammar_is_read_by_all() -> None:
    grammar = parse_gbnf(
        'root ::= Start | "\\u0378b" | [^\\x00-\\U0000FFFF]\n# a comment\n'
        'Start ::= [\\x2D0-9]{2,} ""\n'
    )
    texts = ["-1", "1-1", "1", "\u0378b", "\u378b", "\U0001f600", "a", json.dumps("x")]
    assert agree(to_gbnf(grammar), texts) == [True, True, False, True, False, True, False, False]
