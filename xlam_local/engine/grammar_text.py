"""A grammar as text for the library that enforces it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import gbnf
from ..gbnf import CallCount
from ..grammar import Enforced, TextOrCalls, calls_on_lines
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

    `writes_lines` returns whether the model writes each call on a line of its own. The texts of
    the last grammars are cached, as turns repeat theirs.
    """

    def __init__(self, backend: GrammarBackend, writes_lines: Callable[[], bool]) -> None:
        self._serialize = SERIALIZERS[backend]
        self._writes_lines = writes_lines
        self._last: tuple[tuple[gbnf.Grammar, str], ...] = ()
        """The newest first; replaced as a whole, because other threads may read it."""

    def serialize(self, grammar: Enforced | None) -> GrammarText | None:
        """Return a grammar as text."""
        if grammar is None:
            return None
        if isinstance(grammar, TextOrCalls):
            before_calls, calls = self._serialize(grammar.text), grammar.calls
            return GrammarText(self._text(calls), before_calls, grammar.tools, calls.call_count)
        return GrammarText(self._text(grammar), call_count=grammar.call_count)

    def _text(self, grammar: gbnf.Grammar) -> str:
        last = self._last
        text = next((text for known, text in last if known is grammar), None)
        if text is None:
            text = self._serialize(calls_on_lines(grammar) if self._writes_lines() else grammar)
            self._last = ((grammar, text), *last[: CACHED_TEXTS - 1])
        return text
