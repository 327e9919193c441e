"""Grammars that users write: read by our parser, held to by both executors and by the engine."""

from __future__ import annotations

import json
import random
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.executors import VOCABULARIES, Guidance, Sampler, accepts, vocabulary
from tests.test_cli import run
from tests.walks import walk
from xlam_local import prompt
from xlam_local.cli import within
from xlam_local.engine.local import Engine
from xlam_local.errors import GrammarError, UsageError
from xlam_local.gbnf import Grammar, parse
from xlam_local.types import Answer, Delta, Done, End, Message, Sampling, User

HERE = Path(__file__).parent
FILES = {path.stem: path for path in sorted((HERE / "gbnf").glob("*.gbnf"))}
GOLDEN = {f"golden {path.stem}": path for path in sorted((HERE.parent / "grammars").glob("*.gbnf"))}


def grammar(path: Path) -> Grammar:
    return parse(path.read_text(encoding="utf-8"))


# ----------------------------------------------------------------------------------- the executors


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("words", VOCABULARIES)
def test_both_executors_allow_the_same_tokens(name: str, words: str) -> None:
    rules = grammar(FILES[name])
    running = Guidance(rules, words, forcing=False)
    options = Namespace(vocabulary=words, patience=4, steps=8)
    for seed in range(2):
        steps = list(walk(running, random.Random(seed), options, Sampler(rules, words)))
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
        rules = parse(f"root ::= {root}\nx ::= {x}\ny ::= {y}\nz ::= {z}")
    except GrammarError:
        return
    guidance, sampler = Guidance(rules), Sampler(rules)
    for text in ("", "a", "b", "ab", "ba", "aab", "abab", "baa", "bbaa", "c"):
        tokens = vocabulary().tokens(text)
        assert accepts(guidance, tokens) == accepts(sampler, tokens), text


# -------------------------------------------------------------------------------------- the engine


@pytest.fixture(scope="module")
def engine(tiny_path: Path) -> Iterator[Engine]:
    loaded = Engine.load(tiny_path)
    yield loaded
    loaded.close()


@pytest.mark.parametrize("name", [*FILES, *GOLDEN])
def test_what_a_model_writes_is_of_the_grammar(engine: Engine, name: str) -> None:
    rules = grammar({**FILES, **GOLDEN}[name])
    sampling = Sampling(temperature=1.5, seed=3, max_tokens=40)
    asked = prompt.render([User("Write.")], [], engine.format)
    *pieces, end = engine.generate(asked, rules, sampling)
    assert isinstance(end, End)
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    tokens = vocabulary().tokens(text)
    judge = Sampler(rules)
    assert accepts(judge, tokens) or (end.cut and starts(judge, text))


def starts(judge: Sampler, text: str) -> bool:
    """Whether some text of the grammar begins so; the last character may be half there."""
    judge.reset()
    whole = text.rstrip("\N{REPLACEMENT CHARACTER}")
    return all(map(judge.take, vocabulary().tokens(whole)))


def test_an_answer_within_a_grammar_is_text_even_where_it_looks_like_calls(engine: Engine) -> None:
    said: list[Message] = [User("Call f.")]
    call = '[{"name": "f", "arguments": {}}]'
    rules = parse(f"root ::= {quoted(call)}")
    events = list(within.write(said, (), engine, rules, Sampling(max_tokens=50)))
    assert "".join(event.text for event in events if isinstance(event, Delta)) == call
    assert said[-1] == Answer(call)
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "answer"


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
    assert "my.gbnf: No text can match the grammar" in done.stderr


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# ---------------------------------------------------------------------------------------- the file


def test_a_file_that_is_no_grammar_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "my.gbnf"
    with pytest.raises(UsageError, match=r"my\.gbnf cannot be read: No such file"):
        within.load(path)
    path.write_bytes(b"root ::= \xff")
    with pytest.raises(UsageError, match=r"my\.gbnf is not text in UTF-8"):
        within.load(path)
    path.write_text('root ::= "a"\n  b = "c"')
    with pytest.raises(GrammarError, match=r"my\.gbnf: Line 2, column 5: '::=' is expected"):
        within.load(path)
    path.write_bytes(b'\xef\xbb\xbfroot ::= "a"\r\n')
    assert within.load(path).rules
