"""Grammars that users write: read by our parser, enforced by both backends and by the engine."""

from __future__ import annotations

import json
import random
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.random_walks import walk
from tests.fakes.command_line import run
from tests.fakes.grammar_backends import (
    VOCABULARIES,
    LlamaCppGrammar,
    LLGuidanceGrammar,
    accepts,
    vocabulary,
)
from xlam_local import prompt
from xlam_local.agent.grammar_answer import answer_within_grammar, read_grammar
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.errors import GrammarError, UsageError
from xlam_local.gbnf import Grammar, parse_gbnf
from xlam_local.types import (
    AssistantMessage,
    Done,
    GenerationEnd,
    Message,
    Sampling,
    TextDelta,
    UserMessage,
)

HERE = Path(__file__).parents[1] / "fakes"
FILES = {path.stem: path for path in sorted((HERE / "gbnf").glob("*.gbnf"))}
GOLDEN = {
    f"golden {path.stem}": path
    for path in sorted((Path(__file__).parents[2] / "grammars").glob("*.gbnf"))
}


def grammar(path: Path) -> Grammar:
    return parse_gbnf(path.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------- the grammar backends


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("words", VOCABULARIES)
def test_both_backends_allow_the_same_tokens(name: str, words: str) -> None:
    rules = grammar(FILES[name])
    running = LLGuidanceGrammar(rules, words, forcing=False)
    options = Namespace(vocabulary=words, patience=4, steps=8)
    for seed in range(2):
        steps = list(walk(running, random.Random(seed), options, LlamaCppGrammar(rules, words)))
        assert [step for step in steps if isinstance(step, str)] in ([], ["unfinished"])


parts = st.recursive(
    st.sampled_from(['"a"', '"ab"', '""', "[ab]", "[^a]", "x", "y", "z", '"b" root "a"']),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(" ".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: f"({' | '.join(some)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{0,2}", "{1,}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=30)
@given(parts, parts, parts, parts)
def test_any_grammar_is_refused_or_read_alike_by_both(root: str, x: str, y: str, z: str) -> None:
    try:
        rules = parse_gbnf(f"root ::= {root}\nx ::= {x}\ny ::= {y}\nz ::= {z}")
    except GrammarError:
        return
    guidance, sampler = LLGuidanceGrammar(rules), LlamaCppGrammar(rules)
    for text in ("", "a", "b", "ab", "ba", "aab", "abab", "baa", "bbaa", "c"):
        tokens = vocabulary().tokens(text)
        assert accepts(guidance, tokens) == accepts(sampler, tokens), text


# -------------------------------------------------------------------------------------- the engine


@pytest.fixture(scope="module")
def engine(tiny_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(tiny_path)
    yield loaded
    loaded.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FILES, *GOLDEN])
def test_what_a_model_writes_is_of_the_grammar(engine: LocalEngine, name: str) -> None:
    rules = grammar({**FILES, **GOLDEN}[name])
    sampling = Sampling(temperature=1.5, seed=3, max_tokens=40)
    asked = prompt.render([UserMessage("Write.")], [], engine.prompt_format)
    *pieces, end = engine.generate(asked, rules, sampling)
    assert isinstance(end, GenerationEnd)
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    tokens = vocabulary().tokens(text)
    judge = LlamaCppGrammar(rules)
    assert accepts(judge, tokens) or (end.truncated and starts(judge, text))


def starts(judge: LlamaCppGrammar, text: str) -> bool:
    """Whether some text of the grammar begins so; the last character may be half there."""
    judge.reset()
    whole = text.rstrip("\N{REPLACEMENT CHARACTER}")
    return all(map(judge.accept, vocabulary().tokens(whole)))


@pytest.mark.slow
def test_an_answer_within_a_grammar_is_text_even_where_it_looks_like_calls(
    engine: LocalEngine,
) -> None:
    said: list[Message] = [UserMessage("Call f.")]
    call = '[{"name": "f", "arguments": {}}]'
    rules = parse_gbnf(f"root ::= {quoted(call)}")
    events = list(answer_within_grammar(said, (), engine, rules, Sampling(max_tokens=50)))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == call
    assert said[-1] == AssistantMessage(call)
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason == "stop"


@pytest.mark.slow
def test_a_question_is_answered_within_a_file(tmp_path: Path, qwen_path: Path) -> None:
    path, tools = tmp_path / "my.gbnf", tmp_path / "tools.json"
    path.write_text('root ::= "It is " ("hot" | "cold") "."')
    tools.write_text('[{"name": "f"}]')
    asked = ["ask", "Hot?", "-m", str(qwen_path), "--threads", "1", "--grammar-file", str(path)]
    for more in ([], ["--tools", str(tools)]):
        done = run(*asked, *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout in ("It is hot.\n", "It is cold.\n")
    assert json.loads(run(*asked, "--json").stdout)["answer"] in ("It is hot.", "It is cold.")
    assert run(*asked, "--allow", "f").returncode == 2
    path.write_text('root ::= "(" root')
    done = run(*asked)
    assert done.returncode == 2
    assert "my.gbnf: The grammar is empty" in done.stderr


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# ---------------------------------------------------------------------------------------- the file


def test_a_file_that_is_no_grammar_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "my.gbnf"
    with pytest.raises(UsageError, match=r"my\.gbnf does not exist"):
        read_grammar(path)
    path.write_bytes(b"root ::= \xff")
    with pytest.raises(UsageError, match=r"my\.gbnf is not UTF-8: byte 9"):
        read_grammar(path)
    path.write_text('root ::= "a"\n  b = "c"')
    with pytest.raises(GrammarError, match=r"my\.gbnf: Line 2, column 5: expected '::='"):
        read_grammar(path)
    path.write_bytes(b'\xef\xbb\xbfroot ::= "a"\r\n')
    assert read_grammar(path).rules
