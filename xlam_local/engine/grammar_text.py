"""A grammar as text for the library that enforces it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import gbnf
from ..gbnf import CallCount
from ..grammar import Enforced, TextOrCalls, of_other_models
from .load_options import GrammarBackend

CACHED_TEXTS = 8
SERIALIZERS = {"llguidance": gbnf.to_lark, "llama.cpp": gbnf.to_gbnf}


@dataclass(frozen=True, slots=True)
class GrammarText:
    """What is enforced, as text: a grammar, or free text and the grammar of calls after it."""

    text: str
    """The grammar of the reply, or of its calls."""
    before_calls: str | None = None
    """The grammar of the text before calls; None if the whole reply is within `text`."""
    tools: tuple[str, ...] = ()
    """The names of the tools that the reply may call after text."""
    call_count: CallCount = "none"
    """How many calls the texts of `text` list; see `Grammar.call_count`."""


class GrammarSerializer:
    """Serializes grammars for one backend, in any thread.

    `is_xlam` returns whether the model writes its calls as xLAM does. The texts of the last
    grammars are cached, as turns repeat theirs.
    """

    def __init__(self, backend: GrammarBackend, is_xlam: Callable[[], bool]) -> None:
        self._serialize = SERIALIZERS[backend]
        self._is_xlam = is_xlam
        self._last: tuple[tuple[gbnf.Grammar, bool, str], ...] = ()
        """The newest first; replaced as a whole, because other threads may read it."""

    def serialize(self, grammar: Enforced | None) -> GrammarText | None:
        """Return a grammar as text."""
        if grammar is None:
            return None
        if isinstance(grammar, TextOrCalls):
            before_calls, calls = self._serialize(grammar.text), grammar.calls
            text = self._text(calls, after_text=True)
            return GrammarText(text, before_calls, grammar.tools, calls.call_count)
        return GrammarText(self._text(grammar, after_text=False), call_count=grammar.call_count)

    def _text(self, grammar: gbnf.Grammar, after_text: bool) -> str:
        last = self._last
        for known, known_after_text, text in last:
            if known is grammar and known_after_text is after_text:
                return text
        written = grammar if self._is_xlam() else of_other_models(grammar, after_text)
        text = self._serialize(written)
        self._last = ((grammar, after_text, text), *last[: CACHED_TEXTS - 1])
        return text
