"""Tokens in requests: texts to tokens, tokens to texts, and prompts of token ids."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from ..errors import ContextExceeded
from ..prompt import PromptFormat
from ..types import Prompt, PromptPart
from .api_error import ApiError
from .fields import Fields

Json = Any


TOKENIZE_FIELDS = ("content", "add_special", "parse_special", "with_pieces")
TextOrTokens = str | Sequence[int]
"""A prompt as a client sends it: a text or token ids."""


class Tokenizer(Protocol):
    """The vocabulary of the model; any thread may use it."""

    @property
    def size(self) -> int:
        """How many tokens there are; their ids begin at 0."""

    @property
    def first_token(self) -> int | None:
        """The token that begins every prompt of the model; None if there is none."""

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt; only its special parts can become control tokens."""

    def token_bytes(self, token: int) -> bytes:
        """Return the text of a token in UTF-8, which may be a part of a character."""


@dataclass(frozen=True, slots=True)
class PromptCounter:
    """Counts the tokens of prompts without the engine, which may be busy."""

    prompt_format: PromptFormat
    context_size: int
    tokenizer: Tokenizer

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt."""
        return [len(self.tokenizer.tokenize(written)) for written in prompts]


def surely_fits(written: Prompt, available: int) -> bool:
    """Return whether a prompt has at most `available` bytes; a token has at least one."""
    return sum(len(part.text.encode("utf-8", "replace")) for part in written) <= available


def check_prompt(written: Prompt, tokenizer: Tokenizer, context_size: int) -> None:
    """Refuse a prompt that leaves no token of the context for the reply.

    Raises:
        ContextExceeded: it does.
    """
    if not surely_fits(written, context_size - 1):
        _check_count(len(tokenizer.tokenize(written)), context_size)


def _check_count(count: int, context_size: int) -> None:
    if count >= context_size:
        raise ContextExceeded(
            f"The prompt has {count} tokens, but the context holds {context_size}. Send a shorter "
            "prompt, or serve the model with a larger context."
        )


def completion_prompts(
    given: Sequence[TextOrTokens], tokenizer: Tokenizer, context_size: int
) -> list[Prompt]:
    """Return the prompts of texts and token ids.

    Raises:
        ApiError: a token id is unknown, or no text is read as the tokens.
        ContextExceeded: a prompt does not fit the context.
    """
    found: list[Prompt] = []
    for each in given:
        if isinstance(each, str):
            # As in llama-server, the texts of special tokens in the prompt are those tokens.
            written: Prompt = (PromptPart(each, special=True),)
            check_prompt(written, tokenizer, context_size)
        else:
            _check_count(len(each), context_size)
            written = prompt_of(each, tokenizer, "prompt")
        found.append(written)
    return found


def tokenize(body: Mapping[str, Json], tokenizer: Tokenizer) -> dict[str, Json]:
    """Answer llama-server's request for the tokens of a text, or of texts and token ids.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known(TOKENIZE_FIELDS, {})
    special = request.flag("parse_special", True)
    tokens: list[int] = []
    if request.flag("add_special") and tokenizer.first_token is not None:
        tokens.append(tokenizer.first_token)
    given = request.values.get("content")
    for item in given if isinstance(given, list) else [given]:
        if isinstance(item, str):
            tokens += tokenizer.tokenize((PromptPart(item, special),))
        elif item is not given and is_token(item, tokenizer):
            tokens.append(item)
        else:
            raise request.error("content", "it is not a text, or a list of texts and token ids")
    if not request.flag("with_pieces"):
        return {"tokens": tokens}
    pieces = [tokenizer.token_bytes(token) for token in tokens]
    return {
        "tokens": [
            {"id": token, "piece": _piece(data)} for token, data in zip(tokens, pieces, strict=True)
        ]
    }


def _piece(data: bytes) -> str | list[int]:
    """Return the text of a token, or its bytes if they are only a part of a character."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return list(data)


def detokenize(body: Mapping[str, Json], tokenizer: Tokenizer) -> dict[str, Json]:
    """Answer llama-server's request for the text of tokens.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known({"tokens"}, {})
    tokens = request.list("tokens")
    if tokens is None or not all(is_token(token, tokenizer) for token in tokens):
        raise request.error("tokens", f"it is not a list of token ids from 0 to {_last(tokenizer)}")
    return {"content": text_of(tokens, tokenizer)}


def is_token(value: Json, tokenizer: Tokenizer) -> TypeGuard[int]:
    """Return whether a JSON value is the id of a token."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < tokenizer.size


def _last(tokenizer: Tokenizer) -> int:
    return tokenizer.size - 1


def text_of(tokens: Sequence[int], tokenizer: Tokenizer) -> str:
    """Return the text of tokens; the bytes of incomplete characters become U+FFFD."""
    return b"".join(map(tokenizer.token_bytes, tokens)).decode("utf-8", "replace")


def prompt_of(tokens: Sequence[int], tokenizer: Tokenizer, param: str) -> Prompt:
    """Return a prompt that the engine reads as exactly these tokens.

    The engine takes texts and tokenizes each part on its own. If the whole text has other tokens,
    each token becomes a part, or as many tokens as a character has.

    Raises:
        ApiError: an id is unknown, or no text is read as these tokens.
    """
    if unknown := [token for token in tokens if not is_token(token, tokenizer)]:
        message = f"{unknown[0]} is not a token id from 0 to {_last(tokenizer)}"
        raise ApiError(f"{param}: {message}.", param=param)
    whole: Prompt = (PromptPart(text_of(tokens, tokenizer), special=True),)
    if tokenizer.tokenize(whole) == list(tokens):
        return whole
    parts: list[PromptPart] = []
    for group in _whole_characters(tokens, tokenizer):
        part = PromptPart(text_of(group, tokenizer), special=True)
        if tokenizer.tokenize((part,)) != group:
            message = f"no text is read as the tokens {_short(group)}"
            raise ApiError(f"{param}: {message}. Send the prompt as a text.", param=param)
        parts.append(part)
    return tuple(parts)


def _whole_characters(tokens: Sequence[int], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """Yield the tokens in the smallest groups whose texts are whole characters.

    The last group has all tokens from the first incomplete or invalid character on.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    start = 0
    for end, token in enumerate(tokens, 1):
        try:
            decoder.decode(tokenizer.token_bytes(token))
        except UnicodeDecodeError:
            break
        if not decoder.getstate()[0]:
            yield list(tokens[start:end])
            start = end
    if start < len(tokens):
        yield list(tokens[start:])


def _short(tokens: Sequence[int]) -> str:
    shown = ", ".join(map(str, tokens[:10]))
    return f"[{shown}]" if len(tokens) <= 10 else f"[{shown}, …]"
