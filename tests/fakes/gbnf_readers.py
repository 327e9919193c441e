"""Programs that read GBNF: llama.cpp, llguidance's converter, and xgrammar if it is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import lru_cache

from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import gbnf_to_lark

from tests.fakes.grammar_backends import GrammarRejected, LlamaCppGrammar, vocabulary
from xlam_local.engine.constraint import PARSER_LIMITS

Accepts = Callable[[str], bool]
"""Returns whether a grammar accepts a whole text."""


@lru_cache(maxsize=1)
def _bytes() -> LLTokenizer:
    return LLTokenizer("byte")


def llguidance(gbnf: str) -> Accepts:
    """Load GBNF as vLLM and SGLang do with their llguidance backend."""
    lark = LLMatcher.grammar_from_lark(gbnf_to_lark(gbnf))
    start = LLMatcher(_bytes(), lark, log_level=0, limits=PARSER_LIMITS)
    if start.is_error():
        raise GrammarRejected(start.get_error())

    def accepts(text: str) -> bool:
        matcher, data = start.deep_copy(), text.encode()
        return bool(matcher.try_consume_tokens(list(data)) == len(data) and matcher.is_accepting())

    return accepts


def llama_cpp(gbnf: str) -> Accepts:
    """Load GBNF as llama-server does."""
    grammar = LlamaCppGrammar(gbnf)

    def accepts(text: str) -> bool:
        grammar.reset()
        return all(map(grammar.accept, vocabulary().tokens(text))) and grammar.is_accepting()

    return accepts


def xgrammar(gbnf: str) -> Accepts:
    """Load GBNF as vLLM and SGLang do by default."""
    reader = importlib.import_module("xgrammar")
    is_accepted = importlib.import_module("xgrammar.testing")._is_grammar_accept_string
    try:
        grammar = reader.Grammar.from_ebnf(gbnf)
    except RuntimeError as error:
        raise GrammarRejected(str(error)) from error
    return lambda text: bool(is_accepted(grammar, text))


READERS: dict[str, Callable[[str], Accepts]] = {"llama.cpp": llama_cpp, "llguidance": llguidance}
if importlib.util.find_spec("xgrammar"):
    READERS["xgrammar"] = xgrammar
