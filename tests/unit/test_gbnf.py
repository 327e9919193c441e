from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.fakes.grammar_backends import LlamaCppGrammar, LLGuidanceGrammar, vocabulary
from tests.fakes.grammar_sampler import sample
from tests.fakes.resources import is_downloaded
from xlam_local.errors import GrammarError
from xlam_local.gbnf import (
    ANY,
    ANYTHING,
    EMPTY,
    NOTHING,
    Alt,
    And,
    AutomatonNode,
    Grammar,
    Literal,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Token,
    TooLarge,
    alt,
    chars,
    complement,
    intersection,
    is_empty,
    matches,
    negate,
    nullable,
    one_of,
    optional,
    parse_gbnf,
    prune,
    repeat,
    seq,
    to_gbnf,
    to_lark,
)
from xlam_local.gbnf.json_strings import as_json_text
from xlam_local.regular.nfa import to_dfa
from xlam_local.regular.nodes import children

needs_vocabulary = pytest.mark.skipif(
    not is_downloaded("vocab-qwen2"), reason="the vocabulary is not downloaded"
)
WORDS = ["".join(word) for size in range(5) for word in itertools.product("abc", repeat=size)]
LETTERS: list[Node] = [
    Literal("a"),
    Literal("b"),
    Literal("ab"),
    chars("ac"),
    negate(one_of("a")),
    EMPTY,
]


def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    bounds = st.sampled_from([(0, None), (1, None), (0, 1), (2, 3), (0, 2)])
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: seq(*parts)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: alt(*parts)),
        st.tuples(inner, bounds).map(lambda pair: repeat(pair[0], *pair[1])),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: intersection(*parts)),
        inner.map(complement),
    )


regular = st.recursive(st.sampled_from(LETTERS), grown, max_leaves=6)


def meaning(node: Node) -> set[str]:  # noqa: PLR0911
    """What a node means, said in another way: which of a few words it matches."""
    everything = set(WORDS)
    match node:
        case Literal(literal):
            return {literal} & everything
        case And(parts):
            return set.intersection(everything, *map(meaning, parts))
        case Alt(choices):
            return set().union(*map(meaning, choices))
        case Repeat(inner, least, most):
            return repeated(meaning(inner), least, 5 if most is None else most)
    if hasattr(node, "ranges"):
        return {c for c in "abc" if any(a <= ord(c) <= b for a, b in node.ranges)}
    if hasattr(node, "parts"):
        found = {""}
        for part in node.parts:
            found = {a + b for a in found for b in meaning(part)} & everything
        return found
    return everything - meaning(node.node)  # type: ignore[union-attr]


def repeated(words: set[str], least: int, most: int) -> set[str]:
    found, now = set[str](), {""}
    for count in range(most + 1):
        if count >= least or "" in words:
            found |= now
        now = {a + b for a in now for b in words} & set(WORDS)
    return found


@settings(deadline=None)
@given(regular)
def test_an_automaton_accepts_what_its_node_means(node: Node) -> None:
    machine = to_dfa(node)
    expected = meaning(node)
    for word in WORDS:
        assert machine.matches(word) == matches(node, word) == (word in expected)
    assert nullable(node) == ("" in expected)
    assert not (is_empty(node) and expected)


@settings(deadline=None)
@given(regular, st.integers())
@example(alt(And((Literal("a"), Literal("b"))), Literal("a")), 1)
def test_what_is_sampled_from_a_node_matches_it(node: Node, seed: int) -> None:
    # A grammar is pruned of parts that match nothing before anything is drawn from it.
    assume(not any(is_empty(part) for part in within(node)))
    written = sample(Grammar({"root": Token(node)}), random.Random(seed))
    assert matches(node, written)


def within(node: Node) -> Iterator[Node]:
    """A node and everything in it, but for what stands under a negation or is read as a whole."""
    yield node
    if not isinstance(node, (And, Not)):
        for part in children(node):
            yield from within(part)


@settings(deadline=None)
@given(st.text(max_size=6), st.integers())
def test_a_spelling_is_read_back_as_the_same_characters(word: str, seed: int) -> None:
    quoted = sample(Grammar({"root": Quoted(Literal(word))}), random.Random(seed))
    assert json.loads(quoted) == word
    several = sample(Grammar({"root": Quoted(Repeat(ANY, 3, 3))}), random.Random(seed))
    assert len(json.loads(several)) == 3


def test_a_spelling_is_never_a_control_character_or_half_a_pair() -> None:
    inside = as_json_text(ANY)
    for code in [*range(0x20), 0x22, 0x5C, 0xD800, 0xDFFF]:
        assert not matches(inside, chr(code))
    for wrong in ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\x41", "\\u12"]:
        assert not matches(inside, wrong)
    for right in ["\\ud83d\\ude00", "\\u0000", "\\n", "\\/", "\U0010ffff", "\\uD7fF"]:
        assert matches(inside, right)


def test_the_shortest_nodes_are_written_for_what_is_said() -> None:
    assert alt(Literal("a"), Literal("a")) == Literal("a")
    assert seq(Literal("a"), NOTHING) == NOTHING
    assert repeat(NOTHING) == EMPTY
    assert repeat(alt(Literal("a"), EMPTY), 1) == Repeat(Literal("a"))
    assert repeat(Repeat(Literal("a"), 0, 3), 2, 4) == Repeat(Literal("a"), 0, 12)
    assert intersection(ANYTHING, Literal("a")) == Literal("a")
    assert intersection(Literal("a"), NOTHING) == NOTHING
    assert complement(complement(Literal("a"))) == Literal("a")
    assert complement(seq(ANYTHING, chars("az"), ANYTHING)) == Repeat(negate(chars("az")))


def test_gbnf_is_written_rule_by_rule_with_comments() -> None:
    rules: dict[str, Node] = {
        "root": alt(seq(Literal("a"), optional(seq(Literal("b"), Ref("more")))), EMPTY),
        "more": Repeat(chars("azAZ--]]"), 2, 3),
    }
    assert to_gbnf(Grammar(rules, {"more": "two\nlines"})) == (
        'root ::= "a" ("b" more)? | ""\n# two lines\nmore ::= [A-Z\\]a-z\\x2D]{2,3}\n'
    )


def test_a_node_that_matches_nothing_is_written_as_a_class_without_characters() -> None:
    assert "[^" in to_gbnf(Grammar({"root": NOTHING}))
    assert "[^" in to_lark(Grammar({"root": NOTHING}))


def test_unproductive_and_unreachable_rules_are_pruned() -> None:
    rules: dict[str, Node] = {
        "root": alt(Ref("loop"), Literal("a"), seq(Literal("b"), Repeat(Ref("loop")))),
        "loop": seq(Literal("x"), Ref("loop")),
        "island": Literal("i"),
    }
    assert prune(Grammar(rules)).rules == {"root": alt(Literal("a"), Literal("b"))}


def test_an_automaton_that_grows_too_large_is_given_up() -> None:
    wide = seq(ANYTHING, Literal("a"), Repeat(chars("az"), 20, 20))
    with pytest.raises(TooLarge):
        to_dfa(intersection(wide, complement(seq(ANYTHING, Literal("b"), Repeat(ANY, 15, 15)))))
    with pytest.raises(TypeError):
        to_dfa(Ref("rule"))


@pytest.mark.slow
@needs_vocabulary
@settings(deadline=None, max_examples=25)
@given(regular)
def test_both_backends_read_the_same_texts(node: Node) -> None:
    grammar = Grammar({"root": Token(node)})
    if is_empty(node):
        return
    guidance, sampler = LLGuidanceGrammar(grammar), LlamaCppGrammar(grammar)
    for word in ["", "a", "ab", "abc", "bb", "cab", "aaaa"]:
        tokens = vocabulary().tokens(word)
        expected = matches(node, word)
        for running in (guidance, sampler):
            running.reset()
            assert (all(map(running.accept, tokens)) and running.is_accepting()) == expected


@needs_vocabulary
@pytest.mark.parametrize("bounds", [(0, 2500), (1500, None), (2000, 2000), (0, 1000), (999, 3001)])
def test_llama_cpp_keeps_long_repetitions(bounds: tuple[int, int | None]) -> None:
    least, most = bounds
    sampler = LlamaCppGrammar(
        Grammar({"root": seq(Literal("<"), Repeat(Literal("ab"), least, most), Literal(">"))})
    )
    end = [(least, True), (least - 1, False)]
    end += [(most, True), (most + 1, False)] if most is not None else [(4000, True)]
    for count, fits in end:
        if count >= 0:
            sampler.reset()
            tokens = vocabulary().tokens("<" + "ab" * count + ">")
            assert (all(map(sampler.accept, tokens)) and sampler.is_accepting()) == fits


def test_a_machine_is_written_as_its_states() -> None:
    even = AutomatonNode(to_dfa(Repeat(Literal("aa"))))
    assert to_gbnf(Grammar({"root": even})).count("::=") == 3


# ------------------------------------------------------------------------- a user's own grammar


@pytest.mark.slow
@settings(deadline=None)
@given(regular)
def test_what_is_written_is_parsed_as_the_same_language(node: Node) -> None:
    if is_empty(node):
        return
    first = to_gbnf(Grammar({"root": Token(node)}))
    again = parse_gbnf(first)
    assert to_gbnf(parse_gbnf(to_gbnf(again))) == to_gbnf(again)
    for seed in range(3):
        assert matches(node, sample(again, random.Random(seed)))


WRONG = {
    'root ::= "a': "Line 1, column 12: unclosed text.",
    "root ::= x": "Line 1, column 10: rule 'x' is not defined.",
    'a ::= "b"': 'The grammar has no rule "root".',
    'root ::= root "a"': "Line 1, column 1: rule 'root' is left-recursive.",
    'root ::= b? "a"\nb ::= root': "Line 1, column 1: rule 'root' is left-recursive.",
    'root ::= ("a"': "Line 1, column 14: expected ')'.",
    "root ::= [z-a]": "Line 1, column 14: the range 'z'-'a' is out of order.",
    'root ::= "a"{3,1}': "Line 1, column 18: the numbers are out of order.",
    'root ::= "a"{x}': "Line 1, column 14: expected a number up to 100000.",
    'root ::= "a"{99999999}': "Line 1, column 14: expected a number up to 100000.",
    "root ::= <tok>": "Line 1, column 10: token references (`<token>`) are not supported.",
    'root ::= "a\\x00"': "Line 1, column 12: a NUL character is not supported",
    'root ::= "\\q"': "Line 1, column 11: unknown escape.",
    'root ::= "\\U00110000"': "Line 1, column 11: no character has this code.",
    'root = "a"': "Line 1, column 6: expected '::='.",
    '\n  ::= "a"': "Line 2, column 3: expected a rule name.",
    'root ::= "a"\nroot ::= "b"': "Line 2, column 1: rule 'root' is defined twice.",
    'root ::= "a" )': "Line 1, column 14: expected the end of the rule, not ')'.",
    "root ::= my_rule": "Line 1, column 12: expected the end of the rule, not '_'.",
    'root ::= "(" root': "The grammar is empty: every rule recurses forever.",
    'root ::= ("a"? "b"?)*': "Line 1, column 1: rule 'root' repeats empty text without a limit.",
    'root ::= (("a"{9999}){9999}){9999}': (
        "The shortest text of the grammar has more than 100000 characters."
    ),
    "\n".join(f'r{n} ::= "a" r{n + 1}' for n in range(5000)) + '\nr5000 ::= "a"\nroot ::= r0': (
        "The grammar is nested more than 1000 levels deep, at rule 'r500'."
    ),
    "root ::= " + " | ".join(f'"{n:09}"' for n in range(9999)): (
        "The grammar has more than 50000 parts."
    ),
    "#" * 1_000_001: "The grammar has more than 1000000 characters.",
    "root ::= " + "(" * 5000: "Line 1, column 61: parentheses are nested more than 50 levels deep.",
}


@pytest.mark.parametrize("written", WRONG)
def test_a_wrong_grammar_says_where(written: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(WRONG[written])):
        parse_gbnf(written)


def test_all_of_gbnf_is_read() -> None:
    written = """# a comment
root ::= "a\\n\\x41\\u00e9\\U0001F600\\"" [^a-z\\]-] . ( # another
    b | # and one more
    "c"
  ){2,} b+ b? b{3} ""
b ::= [a-c-] | "x"+ |
  "y"
"""
    assert to_gbnf(parse_gbnf(written)) == (
        'root ::= "a\\nAé😀\\"" [\\x01-,.-\\\\\\x5E-`{-\\uD7FF\\uE000-\U0010ffff] '
        '[\\x01-\\uD7FF\\uE000-\U0010ffff] (b | "c"){2,} b+ b? b{3}\n'
        'b ::= [a-c\\x2D] | "x"+ | "y"\n'
    )


@pytest.mark.parametrize(
    "written",
    [
        'root ::= "a"\n  | "b"\n  | "c"\n',
        'root ::=\n  "a" |\n  "b"\n\n  | "c"',
        'root ::= "a" # first\r\n| "b" # second\r\n# third\r\n\t| "c"',
        'root ::= ( "a"\n | "b" )\n | "c"',
        'root ::= "a"\n|"b"|"c"\nunused ::= "a"\n| "b"',
    ],
)
def test_an_alternative_may_begin_a_line(written: str) -> None:
    assert to_gbnf(parse_gbnf(written)) == 'root ::= "a" | "b" | "c"\n'


@settings(deadline=None)
@given(st.text(alphabet='ab"[](){}|*+?:=\\-^. \n,1<!#'))
def test_any_text_is_a_grammar_or_a_sentence(noise: str) -> None:
    for written in (noise, "root ::= " + noise):
        try:
            to_gbnf(parse_gbnf(written))
        except GrammarError as error:
            said = str(error)
            assert said.endswith(".")
