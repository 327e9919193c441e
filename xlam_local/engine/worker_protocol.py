"""The JSON messages that SubprocessEngine and its worker process exchange.

Requests are `load`, `adapters`, `count` and `generate`, each with a `number` that the answers
repeat. Several may be open at once. `cancel` and `finish` name the request that they are about and
have no answer.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .. import errors
from ..errors import Cancelled, XlamError
from ..types import (
    GenerationEnd,
    Notice,
    PrefillProgress,
    Prompt,
    PromptPart,
    Sampling,
    TokenLogprob,
    TokenLogprobs,
    Usage,
)

Json = Mapping[str, Any]
Item = PrefillProgress | str | TokenLogprobs | Notice | GenerationEnd


def prompt_to_json(prompt: Prompt) -> list[tuple[str, bool]]:
    """Return a prompt as JSON."""
    return [(part.text, part.special) for part in prompt]


def prompt_from_json(parts: Sequence[tuple[str, bool]]) -> Prompt:
    """Return the prompt that `prompt_to_json` was given."""
    return tuple(PromptPart(text, special) for text, special in parts)


def sampling_from_json(values: Json) -> Sampling:
    """Return the sampling settings that were sent as the fields of `Sampling`."""
    return Sampling(**{**values, "stop": tuple(values["stop"])})


def item_to_json(item: Item) -> Json:
    """Return an item of a generation as JSON."""
    match item:
        case PrefillProgress(done, total):
            return {"prefill": (done, total)}
        case TokenLogprobs(tokens):
            return {"logprobs": [_logprob_to_json(token) for token in tokens]}
        case Notice(text):
            return {"notice": text}
        case GenerationEnd(truncated, usage, threads):
            return {"truncated": truncated, "usage": asdict(usage), "threads": threads}
        case _:
            return {"text": item}


def item_from_json(message: Json) -> Item:
    """Return the item that `item_to_json` was given."""
    if "text" in message:
        return str(message["text"])
    if "prefill" in message:
        return PrefillProgress(*message["prefill"])
    if "logprobs" in message:
        return TokenLogprobs(tuple(map(_logprob_from_json, message["logprobs"])))
    if "notice" in message:
        return Notice(message["notice"])
    return GenerationEnd(message["truncated"], Usage(**message["usage"]), message["threads"])


def _logprob_to_json(token: TokenLogprob) -> list[Any]:
    """Return a token as JSON; its bytes are the code points of a text."""
    others = [_logprob_to_json(other) for other in token.alternatives]
    return [token.data.decode("latin-1"), token.logprob, others]


def _logprob_from_json(values: Sequence[Any]) -> TokenLogprob:
    text, logprob, others = values
    return TokenLogprob(text.encode("latin-1"), logprob, tuple(map(_logprob_from_json, others)))


def is_last(message: Json | None) -> bool:
    """Return whether a message ends a reply."""
    return message is not None and bool(message.keys() & {"truncated", "error", "bug"})


def error_to_json(error: BaseException) -> Json:
    """Return an error as JSON; one that is not ours is a bug, with its traceback."""
    if isinstance(error, Cancelled):
        return {"cancelled": True}
    if isinstance(error, XlamError):
        return {"error": type(error).__name__, "message": str(error)}
    return {"bug": "".join(traceback.format_exception(error))}


def raise_error(message: Json) -> None:
    """Raise the error that a message reports, if it reports one."""
    if "bug" in message:
        raise RuntimeError(f"A bug in llama.cpp's process:\n{message['bug']}")
    if "error" in message:
        error_class = getattr(errors, message["error"], XlamError)
        raise error_class(message["message"])
