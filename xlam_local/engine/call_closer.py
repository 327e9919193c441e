"""Choose tokens that close an unfinished call before the token limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .llama_context import Logits

CLOSING_CHARACTERS = b'"}]'
OPENING_CHARACTERS = b"{[,"
NUMBER_CHARACTERS = b"0123456789.eE+-"


class CallCloser:
    """Prefers tokens that close strings, objects and arrays.

    `token_bytes` are the bytes of each token of the vocabulary.
    """

    def __init__(self, token_bytes: Sequence[bytes], end_tokens: frozenset[int]) -> None:
        closing = [
            token
            for token, data in enumerate(token_bytes)
            if data and not data.strip(CLOSING_CHARACTERS)
        ]
        closing.sort(key=lambda token: -len(token_bytes[token]))
        self._end_tokens = sorted(end_tokens)
        self._quotes = [token for token in closing if token_bytes[token].startswith(b'"')]
        self._brackets = [token for token in closing if not token_bytes[token].startswith(b'"')]
        self._both_brackets = [token_bytes.index(b"}"), token_bytes.index(b"]")]
        self._opening = np.array(
            [any(character in data for character in OPENING_CHARACTERS) for data in token_bytes]
        )
        """Shape (vocab_size,): whether a token begins another value."""
        self._longer_number = np.array(
            [bool(data) and not data.strip(NUMBER_CHARACTERS) for data in token_bytes]
        )
        """Shape (vocab_size,): whether a token can make a number longer."""
        self._comma = np.array([data.startswith(b",") for data in token_bytes])
        """Shape (vocab_size,): whether a token ends a number and begins the next value."""

    def next_token(self, masked_logits: Logits) -> int:
        """Return the allowed token that closes most.

        `masked_logits` has the shape (vocab_size,), with -inf for tokens that are not allowed.
        """
        for token in self._preferred(masked_logits):
            if masked_logits[token] > -np.inf:
                return token
        # A number that a required value follows must end, too: it could have 40 more digits.
        not_longer = ~(self._opening | self._longer_number)
        for wanted in (not_longer, self._comma, ~self._opening):
            logits = np.where(wanted, masked_logits, -np.inf)
            if logits.max() > -np.inf:
                return int(logits.argmax())
        return int(masked_logits.argmax())

    def _preferred(self, masked_logits: Logits) -> Iterator[int]:
        yield from self._end_tokens
        # Both brackets are allowed inside a string only, which a quotation mark closes.
        in_string = all(masked_logits[token] > -np.inf for token in self._both_brackets)
        if not in_string:
            yield from self._brackets
        yield from self._quotes
