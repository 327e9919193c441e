"""What grammars accept, by both grammar backends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.grammar_backends import (
    LlamaCppGrammar,
    LLGuidanceGrammar,
    vocabulary,
)
from tests.fakes.resources import is_downloaded
from xlam_local.gbnf import Grammar
from xlam_local.grammar import CompiledTools, for_schema
from xlam_local.types import Tool

needs_vocabulary = pytest.mark.skipif(
    not is_downloaded("vocab-qwen2"), reason="the vocabulary is not downloaded"
)


def tool(name: str = "f", **parameters: Any) -> Tool:
    return Tool(name, "", {"type": "object", **parameters})


def accepted(grammar: Grammar, *texts: str) -> list[bool]:
    """Which texts a grammar accepts; both backends must accept the same."""
    found = []
    for written in texts:
        verdicts = set()
        for running in (LLGuidanceGrammar(grammar), LlamaCppGrammar(grammar)):
            running.reset()
            taken = all(map(running.accept, vocabulary().tokens(written)))
            verdicts.add(taken and running.is_accepting())
        assert len(verdicts) == 1, written
        found.append(verdicts.pop())
    return found


def fits(schema: Any, *texts: str) -> list[bool]:
    return accepted(for_schema(schema), *texts)


def arguments(offer: CompiledTools, *texts: str) -> list[bool]:
    """Which arguments a turn that must call "f" accepts."""
    return accepted(offer.grammar, *(f'[{{"name": "f", "arguments": {each}}}]' for each in texts))
