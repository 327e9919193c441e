"""The OpenAPI document of the server, made from its endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from .. import __version__
from . import chat_completions, completions, messages, ollama, responses, tokens
from . import openapi_types as types

Json = Any
BODIES: Mapping[str, tuple[Collection[str], str, types.Types]] = {
    "/v1/chat/completions": (chat_completions.HONORED, "messages", {}),
    "/v1/completions": (completions.HONORED, "prompt", types.COMPLETIONS),
    "/v1/responses": (responses.HONORED, "input", types.RESPONSES),
    "/v1/messages": (messages.HONORED, "messages", types.ANTHROPIC),
    "/v1/messages/count_tokens": (messages.CONVERSATION, "messages", types.ANTHROPIC),
    "/apply-template": (("messages", "tools"), "messages", {}),
    "/tokenize": (tokens.TOKENIZE_FIELDS, "content", types.TOKENIZE),
    "/detokenize": (("tokens",), "tokens", types.TOKENIZE),
    "/api/chat": (ollama.HONORED, "messages", types.OLLAMA),
}
"""The fields of the request to each path, the one that is required, and the schemas of its own."""
ERRORS = ("400", "401", "403", "408", "413", "415", "421", "500", "503")
PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")


def openapi_document(
    endpoints: Mapping[tuple[str, str], Callable[..., object]],
) -> dict[str, Json]:
    """Return the document that describes `endpoints`, which have a method and a path each."""
    paths: dict[str, dict[str, Json]] = {}
    for (method, path), endpoint in endpoints.items():
        shown = PARAMETER.sub(r"{\1}", path)
        paths.setdefault(shown, {})[method.lower()] = _operation(path, endpoint)
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "xlam-local", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"token": bearer}},
        "security": [{"token": []}],
    }


def _operation(path: str, endpoint: Callable[..., object]) -> dict[str, Json]:
    summary = (endpoint.__doc__ or "").partition("\n")[0]
    names = PARAMETER.findall(path)
    errors = (*ERRORS, "404") if names else ERRORS
    operation: dict[str, Json] = {
        "operationId": path.strip("/").replace("/", "_") or "root",
        "summary": summary,
        "responses": {
            "200": {"description": "The answer."},
            **{status: {"description": "An error."} for status in errors},
        },
    }
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if path in BODIES:
        known, required, own_types = BODIES[path]
        known_types = {**types.COMMON, **own_types}
        properties = {name: known_types.get(name, {}) for name in sorted(known)}
        schema = {"type": "object", "properties": properties, "required": [required]}
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation
