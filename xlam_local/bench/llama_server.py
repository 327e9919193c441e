"""Generate with a running llama-server, which our engine is compared with."""

from __future__ import annotations

import httpx2

from ..errors import XlamError
from ..gbnf import Grammar

TIMEOUT_S = 600.0


def server_speed(url: str, prompt: str, grammar: Grammar, max_tokens: int) -> float:
    """Return the tokens per second at which a llama-server generates JSON under a grammar's schema.

    Raises:
        XlamError: the server is not reachable, or is not a llama-server.
    """
    return _timing(url, prompt, grammar, max_tokens, "predicted_per_second")


def server_reply_tokens(url: str, prompt: str, grammar: Grammar, max_tokens: int) -> int:
    """Return how many tokens of JSON a llama-server generates under a schema.

    Raises:
        XlamError: the server is not reachable, or is not a llama-server.
    """
    return round(_timing(url, prompt, grammar, max_tokens, "predicted_n"))


def _timing(url: str, prompt: str, grammar: Grammar, max_tokens: int, name: str) -> float:
    request = {
        "prompt": prompt,
        "n_predict": max_tokens,
        "temperature": 0,
        "json_schema": grammar.json_schema,
        "cache_prompt": True,
    }
    try:
        response = httpx2.post(f"{url.rstrip('/')}/completion", json=request, timeout=TIMEOUT_S)
        response.raise_for_status()
        return float(response.json()["timings"][name])
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        raise XlamError(f"{url} did not answer like a llama-server: {error}.") from error
