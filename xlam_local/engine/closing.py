"""Which token brings a call nearer to its end, when there is little room left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .llama import Logits

CLOSING = b'"}]'


class Closer:
    """Knows the tokens that close strings, objects and arrays; `pieces` are the vocabulary's."""

    def __init__(self, pieces: Sequence[bytes], ends: frozenset[int]) -> None:
        closing = [n for n, piece in enumerate(pieces) if piece and not piece.strip(CLOSING)]
        closing.sort(key=lambda token: -len(pieces[token]))
        self._ends = sorted(ends)
        self._quotes = [token for token in closing if pieces[token].startswith(b'"')]
        self._brackets = [token for token in closing if not pieces[token].startswith(b'"')]
        self._either = [pieces.index(b"}"), pieces.index(b"]")]
        self._opening = np.array([any(mark in piece for mark in b"{[,") for piece in pieces])

    def choose(self, narrowed: Logits) -> int:
        """The token to go on with; `narrowed` are logits with -inf for what is not allowed."""
        for token in (*self._ends, *self._order(narrowed)):
            if narrowed[token] > -np.inf:
                return token
        calm = np.where(self._opening, -np.inf, narrowed)
        return int((calm if calm.max() > -np.inf else narrowed).argmax())

    def _order(self, narrowed: Logits) -> Sequence[int]:
        # Only inside a string may a brace and a bracket both come next.
        if all(narrowed[token] > -np.inf for token in self._either):
            return self._quotes
        return [*self._brackets, *self._quotes]
