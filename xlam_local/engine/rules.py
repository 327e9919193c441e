"""A grammar as the text that its executor reads."""

from __future__ import annotations

from .. import gbnf
from .settings import Executor

WRITERS = {"llguidance": gbnf.lark, "llama.cpp": gbnf.text}


class RulesText:
    """Writes grammars for one executor, and remembers the last: turns repeat theirs."""

    def __init__(self, executor: Executor) -> None:
        self._write = WRITERS[executor]
        self._last: tuple[gbnf.Grammar, str] | None = None

    def of(self, grammar: gbnf.Grammar) -> str:
        """The text of `grammar`."""
        if self._last is None or self._last[0] is not grammar:
            self._last = (grammar, self._write(grammar))
        return self._last[1]
