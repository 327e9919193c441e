"""Log probabilities in requests, and how the wire formats write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..openai_format import token_logprob_json
from ..types import TokenLogprob
from .fields import Fields

Json = Any
MAX_ALTERNATIVES = 20
RESPONSES_INCLUDE = "message.output_text.logprobs"


def of_chat(request: Fields) -> int | None:
    """Return how many alternatives to each token a request wants; None if it wants no tokens."""
    count = request.integer("top_logprobs", 0, MAX_ALTERNATIVES)
    if request.flag("logprobs"):
        return count or 0
    if count:
        raise request.error("top_logprobs", "it needs logprobs to be true")
    return None


def of_completion(request: Fields) -> int | None:
    """Return how many alternatives to each token a request wants; None if it wants no tokens."""
    return request.integer("logprobs", 0, MAX_ALTERNATIVES)


def of_response(request: Fields) -> int | None:
    """Return how many alternatives to each token a request wants; None if it wants no tokens."""
    count = request.integer("top_logprobs", 0, MAX_ALTERNATIVES)
    if RESPONSES_INCLUDE in (request.list("include") or ()):
        return count or 0
    return count or None


def tokens_json(tokens: Sequence[TokenLogprob]) -> list[Json]:
    """Return tokens as a list, each with its alternatives."""
    return list(map(token_logprob_json, tokens))


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> Json:
    """Return the field `logprobs` of a chat completion; null without tokens."""
    return {"content": tokens_json(tokens), "refusal": None} if tokens else None


def completion_logprobs(tokens: Sequence[TokenLogprob], start: int) -> Json:
    """Return the field `logprobs` of a completion; `start` is where its text begins."""
    if not tokens:
        return None
    texts = list(map(_text, tokens))
    offsets = [start]
    for text in texts[:-1]:
        offsets.append(offsets[-1] + len(text))
    return {
        "tokens": texts,
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [_alternatives(token) for token in tokens],
        "text_offset": offsets,
    }


def _alternatives(token: TokenLogprob) -> Json:
    """Return the alternatives by their texts; null for a token without a log probability."""
    if token.logprob is None:
        return None
    # If two alternatives have the same text, the more likely one counts.
    return {_text(other): other.logprob for other in reversed(token.alternatives)}


def text_length(tokens: Sequence[TokenLogprob]) -> int:
    """Return how many characters the texts of tokens have."""
    return sum(len(_text(token)) for token in tokens)


def _text(token: TokenLogprob) -> str:
    return token.data.decode("utf-8", "replace")
