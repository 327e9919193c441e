from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.grammar_backends import LlamaCppGrammar, LLGuidanceGrammar
from tests.fakes.resources import is_downloaded
from xlam_local import tools
from xlam_local.gbnf import Grammar, parse_gbnf, to_gbnf, to_lark
from xlam_local.grammar import compile_tools, for_schema

GRAMMARS = Path(__file__).parents[2] / "grammars"


def grammars() -> dict[str, Grammar]:
    found = {
        path.stem: compile_tools(tools.load_schemas(path)).grammar
        for path in GRAMMARS.glob("*.json")
    }
    found["builtin"] = compile_tools(tools.builtin_tools(Path())).grammar
    found["json"] = for_schema(True)
    return found


@pytest.mark.parametrize("name", sorted(grammars()))
def test_a_grammar_is_written_as_it_was_promised(name: str, pytestconfig: pytest.Config) -> None:
    written, golden = to_gbnf(grammars()[name]), GRAMMARS / f"{name}.gbnf"
    if pytestconfig.getoption("update_snapshots", default=False):
        golden.write_text(written, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == written
    assert to_gbnf(parse_gbnf(written))


@pytest.mark.skipif(not is_downloaded("vocab-qwen2"), reason="the vocabulary is not downloaded")
@pytest.mark.parametrize("name", sorted(grammars()))
def test_both_backends_load_each_grammar(name: str) -> None:
    grammar = grammars()[name]
    assert LlamaCppGrammar(grammar).sampler
    assert not LLGuidanceGrammar(grammar).error()
    assert to_lark(grammar).startswith("start: ")
