"""A tokenizer whose tokens are words with the blanks after them."""

from __future__ import annotations

import re

from xlam_local.types import Prompt

WORD = re.compile(r"\S+\s*|\s+")


class WordTokenizer:
    """Numbers the words in the order in which it reads them."""

    size = 1000
    first_token = 0

    def __init__(self) -> None:
        self.words = ["<s>"]

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Return the number of each word."""
        found = [word for part in prompt for word in WORD.findall(part.text)]
        self.words += dict.fromkeys(word for word in found if word not in self.words)
        return [self.words.index(word) for word in found]

    def token_bytes(self, token: int) -> bytes:
        """Return a word."""
        return self.words[token].encode() if token < len(self.words) else b"?"
