from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.executors import FOLDER, Guidance, Sampler, vocabulary
from tests.samples import sample
from xlam_local.errors import GrammarError
from xlam_local.gbnf import (
    ANY,
    ANYTHING,
    EMPTY,
    NOTHING,
    Alt,
    And,
    Grammar,
    Lit,
    Machine,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Token,
    TooLarge,
    alt,
    automaton,
    both,
    chars,
    empty,
    lark,
    matches,
    negated,
    nullable,
    one_of,
    optional,
    parse,
    pruned,
    repeat,
    seq,
    text,
    without,
)
from xlam_local.gbnf.nodes import children
from xlam_local.gbnf.spelling import spelled

needs_vocabulary = pytest.mark.skipif(
    not (FOLDER / "ggml-vocab-qwen2.gguf").exists(), reason="there is no vocabulary here"
)
WORDS = ["".join(word) for size in range(5) for word in itertools.product("abc", repeat=size)]
LETTERS: list[Node] = [Lit("a"), Lit("b"), Lit("ab"), chars("ac"), negated(one_of("a")), EMPTY]


def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    bounds = st.sampled_from([(0, None), (1, None), (0, 1), (2, 3), (0, 2)])
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: seq(*parts)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: alt(*parts)),
        st.tuples(inner, bounds).map(lambda pair: repeat(pair[0], *pair[1])),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: both(*parts)),
        inner.map(without),
    )


regular = st.recursive(st.sampled_from(LETTERS), grown, max_leaves=6)


def meaning(node: Node) -> set[str]:  # noqa: PLR0911
    """What a node means, said in another way: which of a few words it matches."""
    everything = set(WORDS)
    match node:
        case Lit(literal):
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
    machine = automaton(node)
    expected = meaning(node)
    for word in WORDS:
        assert machine.matches(word) == matches(node, word) == (word in expected)
    assert nullable(node) == ("" in expected)
    assert not (empty(node) and expected)


@settings(deadline=None)
@given(regular, st.integers())
@example(alt(And((Lit("a"), Lit("b"))), Lit("a")), 1)
def test_what_is_sampled_from_a_node_matches_it(node: Node, seed: int) -> None:
    # A grammar is pruned of parts that match nothing before anything is drawn from it.
    assume(not any(empty(part) for part in within(node)))
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
    quoted = sample(Grammar({"root": Quoted(Lit(word))}), random.Random(seed))
    assert json.loads(quoted) == word
    several = sample(Grammar({"root": Quoted(Repeat(ANY, 3, 3))}), random.Random(seed))
    assert len(json.loads(several)) == 3


def test_a_spelling_is_never_a_control_character_or_half_a_pair() -> None:
    inside = spelled(ANY)
    for code in [*range(0x20), 0x22, 0x5C, 0xD800, 0xDFFF]:
        assert not matches(inside, chr(code))
    for wrong in ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\x41", "\\u12"]:
        assert not matches(inside, wrong)
    for right in ["\\ud83d\\ude00", "\\u0000", "\\n", "\\/", "\U0010ffff", "\\uD7fF"]:
        assert matches(inside, right)


def test_the_shortest_nodes_are_written_for_what_is_said() -> None:
    assert alt(Lit("a"), Lit("a")) == Lit("a")
    assert seq(Lit("a"), NOTHING) == NOTHING
    assert repeat(NOTHING) == EMPTY
    assert repeat(alt(Lit("a"), EMPTY), 1) == Repeat(Lit("a"))
    assert repeat(Repeat(Lit("a"), 0, 3), 2, 4) == Repeat(Lit("a"), 0, 12)
    assert both(ANYTHING, Lit("a")) == Lit("a")
    assert both(Lit("a"), NOTHING) == NOTHING
    assert without(without(Lit("a"))) == Lit("a")
    assert without(seq(ANYTHING, chars("az"), ANYTHING)) == Repeat(negated(chars("az")))


def test_gbnf_is_written_rule_by_rule_with_comments() -> None:
    rules: dict[str, Node] = {
        "root": alt(seq(Lit("a"), optional(seq(Lit("b"), Ref("more")))), EMPTY),
        "more": Repeat(chars("azAZ--]]"), 2, 3),
    }
    assert text(Grammar(rules, {"more": "two\nlines"})) == (
        'root ::= "a" ("b" more)? | ""\n# two lines\nmore ::= [\\x2DA-Z\\]a-z]{2,3}\n'
    )


def test_a_node_that_matches_nothing_is_written_as_a_class_without_characters() -> None:
    assert "[^" in text(Grammar({"root": NOTHING}))
    assert "[^" in lark(Grammar({"root": NOTHING}))


def test_unproductive_and_unreachable_rules_are_pruned() -> None:
    rules: dict[str, Node] = {
        "root": alt(Ref("loop"), Lit("a"), seq(Lit("b"), Repeat(Ref("loop")))),
        "loop": seq(Lit("x"), Ref("loop")),
        "island": Lit("i"),
    }
    assert pruned(Grammar(rules)).rules == {"root": alt(Lit("a"), Lit("b"))}


def test_an_automaton_that_grows_too_large_is_given_up() -> None:
    wide = seq(ANYTHING, Lit("a"), Repeat(chars("az"), 20, 20))
    with pytest.raises(TooLarge):
        automaton(both(wide, without(seq(ANYTHING, Lit("b"), Repeat(ANY, 15, 15)))))
    with pytest.raises(TypeError):
        automaton(Ref("rule"))


@needs_vocabulary
@settings(deadline=None, max_examples=25)
@given(regular)
def test_both_executors_read_the_same_texts(node: Node) -> None:
    grammar = Grammar({"root": Token(node)})
    if empty(node):
        return
    guidance, sampler = Guidance(grammar), Sampler(grammar)
    for word in ["", "a", "ab", "abc", "bb", "cab", "aaaa"]:
        tokens = vocabulary().tokens(word)
        expected = matches(node, word)
        for running in (guidance, sampler):
            running.reset()
            assert (all(map(running.take, tokens)) and running.ended()) == expected


@needs_vocabulary
@pytest.mark.parametrize("bounds", [(0, 2500), (1500, None), (2000, 2000), (0, 1000), (999, 3001)])
def test_llama_cpp_keeps_long_repetitions(bounds: tuple[int, int | None]) -> None:
    least, most = bounds
    sampler = Sampler(Grammar({"root": seq(Lit("<"), Repeat(Lit("ab"), least, most), Lit(">"))}))
    end = [(least, True), (least - 1, False)]
    end += [(most, True), (most + 1, False)] if most is not None else [(4000, True)]
    for count, fits in end:
        if count >= 0:
            sampler.reset()
            tokens = vocabulary().tokens("<" + "ab" * count + ">")
            assert (all(map(sampler.take, tokens)) and sampler.ended()) == fits


def test_a_machine_is_written_as_its_states() -> None:
    even = Machine(automaton(Repeat(Lit("aa"))))
    assert text(Grammar({"root": even})).count("::=") == 3


# ------------------------------------------------------------------------- a user's own grammar


@settings(deadline=None)
@given(regular)
def test_what_is_written_is_parsed_as_the_same_language(node: Node) -> None:
    if empty(node):
        return
    first = text(Grammar({"root": Token(node)}))
    again = parse(first)
    assert text(parse(text(again))) == text(again)
    for seed in range(3):
        assert matches(node, sample(again, random.Random(seed)))


WRONG = {
    'root ::= "a': "Line 1, column 12: the text ends before it is closed.",
    "root ::= x": "Line 1, column 10: there is no rule 'x'.",
    'a ::= "b"': 'The grammar has no rule "root" to begin with.',
    'root ::= root "a"': "Line 1, column 1: the rule 'root' begins with itself.",
    'root ::= b? "a"\nb ::= root': "Line 1, column 1: the rule 'root' begins with itself.",
    'root ::= ("a"': "Line 1, column 14: ')' is expected.",
    "root ::= [z-a]": "Line 1, column 14: the range from 'z' to 'a' is out of order.",
    'root ::= "a"{3,1}': "Line 1, column 18: the numbers are out of order.",
    'root ::= "a"{x}': "Line 1, column 14: a number up to 100000 is expected.",
    'root ::= "a"{99999999}': "Line 1, column 14: a number up to 100000 is expected.",
    "root ::= <tok>": "Line 1, column 10: single tokens of a model cannot be asked for here.",
    'root ::= "a\\x00"': "Line 1, column 12: llama.cpp takes a NUL for the end of the text.",
    'root ::= "\\q"': "Line 1, column 11: this is no escape.",
    'root ::= "\\U00110000"': "Line 1, column 11: there is no such character.",
    'root = "a"': "Line 1, column 6: '::=' is expected.",
    '\n  ::= "a"': "Line 2, column 3: a rule's name is expected.",
    'root ::= "a"\nroot ::= "b"': "Line 2, column 1: the rule 'root' is there already.",
    'root ::= "a" )': "Line 1, column 14: the rule should end here.",
    'root ::= "(" root': "No text can match the grammar: its rules never come to an end.",
    'root ::= ("a"? "b"?)*': "Line 1, column 1: the rule 'root' repeats nothing for ever.",
    'root ::= (("a"{9999}){9999}){9999}': (
        "The shortest text of the grammar has more than 100000 characters."
    ),
    "\n".join(f'r{n} ::= "a" r{n + 1}' for n in range(5000)) + '\nr5000 ::= "a"\nroot ::= r0': (
        "The rules lead more than 1000 levels deep, down to 'r500'."
    ),
    "root ::= " + " | ".join(f'"{n:09}"' for n in range(9999)): (
        "The grammar has more than 50000 parts."
    ),
    "#" * 1_000_001: "The grammar has more than 1000000 characters.",
    "root ::= "
    + "(" * 5000: "Line 1, column 61: there are more than 50 brackets inside each other.",
}


@pytest.mark.parametrize("written", WRONG)
def test_a_wrong_grammar_says_where(written: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(WRONG[written])):
        parse(written)


def test_all_of_gbnf_is_read() -> None:
    written = """# a comment
root ::= "a\\n\\x41\\u00e9\\U0001F600\\"" [^a-z\\]-] . ( # another
    b | # and one more
    "c"
  ){2,} b+ b? b{3} ""
b ::= [a-c-] | "x"+ |
  "y"
"""
    assert text(parse(written)) == (
        'root ::= "a\\nAé😀\\"" [\\x01-,.-\\\\\\x5E-`{-\\uD7FF\\uE000-\\U0010FFFF] '
        '[\\x01-\\uD7FF\\uE000-\\U0010FFFF] (b | "c"){2,} b+ b? b{3}\n'
        'b ::= [\\x2Da-c] | "x"+ | "y"\n'
    )


@settings(deadline=None)
@given(st.text(alphabet='ab"[](){}|*+?:=\\-^. \n,1<!#'))
def test_any_text_is_a_grammar_or_a_sentence(noise: str) -> None:
    for written in (noise, "root ::= " + noise):
        try:
            text(parse(written))
        except GrammarError as error:
            said = str(error)
            assert said.endswith(".")
