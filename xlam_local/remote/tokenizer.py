"""Tokenize prompts with the vocabulary of the server, so that text never becomes a special token.

Each part of a prompt is tokenized on its own, as in llama.cpp. vLLM and SGLang read special tokens
in every text, so a text is split after the `<` or `[` that could begin one.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from ..types import Prompt, PromptPart
from .errors import RemoteError
from .http import RemoteClient
from .server_kinds import ServerKind

Json = Any
MAX_CACHED_PARTS = 2048
MAX_TOKEN_ID = 1 << 24
MARKUP_START = re.compile(r"[<\[](?=[^\s<>\[\]]{1,80}[>\]])")
"""A character that may begin a special token, such as `<|im_start|>`, `</s>` or `[INST]`."""
PROBES = ("Hello, world!", "größer 数 😀\n\n  x", '[{"name": "a"}]')


class RemoteTokenizer:
    """The tokens of prompts, by the server's `/tokenize`. Threads may share it."""

    def __init__(self, client: RemoteClient, kind: ServerKind, model: str) -> None:
        self._client = client
        self._kind = kind
        self._model = model
        self._cache: OrderedDict[tuple[bool, bytes], list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt; only its special parts can become special tokens.

        Raises:
            RemoteError: the server cannot be reached, or its answer is not a list of tokens.
        """
        return [token for part in prompt if part.text for token in self._part(part)]

    @property
    def size(self) -> int:
        """More than the ids of all tokens; a server does not say how many there are."""
        return MAX_TOKEN_ID

    @property
    def first_token(self) -> int | None:
        """None: a prompt has its first token as a special part."""
        return None

    def token_bytes(self, token: int) -> bytes:
        """Return the text of a token in UTF-8."""
        return self._detokenize([token]).encode()

    def special_token(self, text: str) -> int | None:
        """Return the special token with this text; None if the vocabulary has none."""
        tokens = self._ask(text, special=True)
        as_text = self.tokenize((PromptPart(text),))
        return tokens[0] if len(tokens) == 1 and as_text != tokens else None

    def check(self) -> None:
        """Check the server's tokens of a few texts.

        Raises:
            RemoteError: they do not stand for the texts.
        """
        for text in PROBES:
            tokens = self._ask(text, special=False)
            if not tokens or len(tokens) > len(text.encode()):
                raise self._wrong(f"{len(tokens)} tokens for {text!r}")
            if self._detokenize(tokens) not in (text, f" {text}"):
                raise self._wrong(f"tokens for {text!r} that are not this text")

    def _part(self, part: PromptPart) -> list[int]:
        key = part.special, hashlib.blake2b(part.text.encode("utf-8", "replace")).digest()
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        if part.special or self._kind.parse_special:
            tokens = self._ask(part.text, special=part.special)
        else:
            tokens = [
                token
                for piece in _split_markup(part.text)
                for token in self._ask(piece, special=False)
            ]
        with self._lock:
            self._cache[key] = tokens
            while len(self._cache) > MAX_CACHED_PARTS:
                self._cache.popitem(last=False)
        return tokens

    def _ask(self, text: str, *, special: bool) -> list[int]:
        if self._kind.parse_special:
            body = {"content": text, "add_special": False, "parse_special": special}
        else:
            body = {"model": self._model, "prompt": text, "add_special_tokens": False}
        answer = self._client.post("/tokenize", body)
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        if not isinstance(tokens, list) or not all(map(_is_token, tokens)):
            raise self._wrong("no list of token ids")
        return tokens

    def _detokenize(self, tokens: list[int]) -> str:
        body: dict[str, Json] = {"tokens": tokens}
        if not self._kind.parse_special:
            body["model"] = self._model
        answer = self._client.post("/detokenize", body)
        found = answer if isinstance(answer, dict) else {}
        return str(found.get("content", found.get("prompt", found.get("text", ""))))

    def _wrong(self, found: str) -> RemoteError:
        return RemoteError(f"{self._client.address.url}/tokenize answered with {found}.")


def _is_token(value: Json) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and 0 <= value < MAX_TOKEN_ID


def _split_markup(text: str) -> Iterator[str]:
    """Yield a text in pieces, none of which contains a special token."""
    position = 0
    for found in MARKUP_START.finditer(text):
        yield text[position : found.end()]
        position = found.end()
    if position < len(text):
        yield text[position:]


def defuse(text: str) -> str:
    """Return a text without special tokens, for servers that take no token ids.

    A zero-width space is put into everything that looks like a special token.
    """
    return MARKUP_START.sub(lambda found: f"{found[0]}\u200b", text)
