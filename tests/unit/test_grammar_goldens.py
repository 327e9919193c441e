from __future__ import annotations

from pathlib import Path

import pytest

from tests.executors import FOLDER, Guidance, Sampler
from xlam_local import tools
from xlam_local.gbnf import Grammar, lark, parse, text
from xlam_local.grammar import for_schema, for_turn

GRAMMARS = Path(__file__).parent.parent / "grammars"


def grammars() -> dict[str, Grammar]:
    found = {path.stem: for_turn(tools.load(path)).grammar for path in GRAMMARS.glob("*.json")}
    found["builtin"] = for_turn(tools.builtin(Path())).grammar
    found["json"] = for_schema(True)
    return found


@pytest.mark.parametrize("name", sorted(grammars()))
def test_a_grammar_is_written_as_it_was_promised(name: str, pytestconfig: pytest.Config) -> None:
    written, golden = text(grammars()[name]), GRAMMARS / f"{name}.gbnf"
    if pytestconfig.getoption("update_snapshots", default=False):
        golden.write_text(written, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == written
    assert text(parse(written))


@pytest.mark.skipif(
    not (FOLDER / "ggml-vocab-qwen2.gguf").exists(), reason="there is no vocabulary here"
)
@pytest.mark.parametrize("name", sorted(grammars()))
def test_both_executors_load_each_grammar(name: str) -> None:
    grammar = grammars()[name]
    assert Sampler(grammar).handle
    assert not Guidance(grammar).error()
    assert lark(grammar).startswith("start: ")
