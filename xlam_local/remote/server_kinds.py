"""The kinds of servers: how each is recognized, and how it is asked for a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..types import Sampling
from .reply_stream import LlamaServerReply, OllamaReply, OpenAIReply, ReplyReader

Json = Any
Body = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Question:
    """What a reply is asked for with."""

    model: str
    prompt: Sequence[int] | str
    """Token ids; text only for servers that take none."""
    grammar: str | None
    """As GBNF; None if the server enforces none."""
    sampling: Sampling
    json_schema: Mapping[str, Json] | None = None
    """For servers that take no grammar."""


@dataclass(frozen=True, slots=True)
class ServerKind:
    """A program that serves models."""

    title: str
    path: str
    """The path for replies."""
    body: Callable[[Question], Body]
    reader: Callable[[str], ReplyReader]
    takes_tokens: bool = True
    events: bool = True
    """Whether a reply is server-sent events; else it is one JSON object per line."""
    parse_special: bool = False
    """Whether `/tokenize` can be told not to read special tokens in a text."""
    sequences: int = 1
    """How many replies it writes at once, if it does not say."""


def _openai(question: Question) -> Body:
    sampling = question.sampling
    return {
        **({"model": question.model} if question.model else {}),
        "prompt": question.prompt,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        **({"stop": list(sampling.stop)} if sampling.stop else {}),
        **_response_format(question.json_schema),
    }


def _response_format(schema: Mapping[str, Json] | None) -> Body:
    if schema is None:
        return {}
    described = {"name": "reply", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def _xlam_local(question: Question) -> Body:
    sampling = question.sampling
    grammar = {} if question.grammar is None else {"grammar": question.grammar}
    return {
        **_openai(question),
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "repeat_last_n": sampling.repeat_last_n,
        **grammar,
    }


def _llama_server(question: Question) -> Body:
    sampling = question.sampling
    return {
        "prompt": question.prompt,
        "stream": True,
        "cache_prompt": True,
        "n_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "repeat_last_n": sampling.repeat_last_n,
        "seed": sampling.seed,
        "stop": list(sampling.stop),
        **({} if question.grammar is None else {"grammar": question.grammar}),
    }


def _vllm(question: Question) -> Body:
    sampling, grammar = question.sampling, question.grammar
    return {
        **_openai(question),
        "top_k": sampling.top_k or -1,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repeat_penalty,
        "add_special_tokens": False,
        **({} if grammar is None else {"structured_outputs": {"grammar": grammar}}),
    }


def _sglang(question: Question) -> Body:
    sampling = question.sampling
    return {
        **_openai(question),
        "top_k": sampling.top_k or -1,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repeat_penalty,
        **({} if question.grammar is None else {"ebnf": question.grammar}),
    }


def _ollama(question: Question) -> Body:
    sampling = question.sampling
    return {
        "model": question.model,
        "prompt": question.prompt,
        "raw": True,
        "stream": True,
        **({} if question.json_schema is None else {"format": question.json_schema}),
        "options": {
            "num_predict": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repeat_penalty,
            "repeat_last_n": sampling.repeat_last_n,
            "seed": sampling.seed,
            "stop": list(sampling.stop),
        },
    }


COMPLETIONS = "/v1/completions"
XLAM_LOCAL = ServerKind("xlam-local", COMPLETIONS, _xlam_local, OpenAIReply, parse_special=True)
LLAMA_SERVER = ServerKind(
    "llama-server", "/completion", _llama_server, LlamaServerReply, parse_special=True
)
VLLM = ServerKind("vLLM", COMPLETIONS, _vllm, OpenAIReply, sequences=16)
SGLANG = ServerKind("SGLang", COMPLETIONS, _sglang, OpenAIReply, sequences=16)
OLLAMA = ServerKind(
    "Ollama", "/api/generate", _ollama, OllamaReply, takes_tokens=False, events=False
)
OPENAI = ServerKind(
    "a server with OpenAI's completions", COMPLETIONS, _openai, OpenAIReply, takes_tokens=False
)


def _is_llama_server(answer: Mapping[str, Json]) -> bool:
    return "default_generation_settings" in answer


ROUTES: tuple[tuple[str, ServerKind, Callable[[Mapping[str, Json]], bool]], ...] = (
    ("/props", XLAM_LOCAL, lambda found: "prompt_format" in found),
    ("/props", LLAMA_SERVER, _is_llama_server),
    ("/version", VLLM, lambda found: isinstance(found.get("version"), str)),
    ("/server_info", SGLANG, lambda found: "tokenizer_path" in found or "model_path" in found),
    ("/get_server_info", SGLANG, lambda found: "tokenizer_path" in found or "model_path" in found),
    ("/api/version", OLLAMA, lambda found: isinstance(found.get("version"), str)),
)
"""In this order: a route, the kind of a server that has it, and how its answer is recognized."""
