"""The OpenAPI document: what it calls valid is what the server takes."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from tests.fakes.server_bodies import CHAT, COMPLETION, MESSAGES, OLLAMA, RESPONSES
from tests.fakes.server_client import USER
from xlam_local.server.app import ENDPOINTS
from xlam_local.server.openapi import BODIES, openapi_document

Json = Any
DOCUMENT = openapi_document(ENDPOINTS)
VALID: dict[str, list[Json]] = {
    "/v1/chat/completions": [CHAT, {"messages": USER}, {"messages": USER, "stop": "x"}],
    "/v1/completions": [COMPLETION, {"prompt": "x"}, {"prompt": [1, 2]}, {"prompt": ["a", "b"]}],
    "/v1/responses": [RESPONSES, {"input": "x"}],
    "/v1/messages": [MESSAGES],
    "/v1/messages/count_tokens": [{"messages": MESSAGES["messages"]}],
    "/apply-template": [{"messages": CHAT["messages"], "tools": CHAT["tools"]}],
    "/tokenize": [{"content": "x", "with_pieces": True}, {"content": ["a", 1]}],
    "/detokenize": [{"tokens": [1, 2]}],
    "/api/chat": [OLLAMA],
}
INVALID: dict[str, list[Json]] = {
    "/v1/chat/completions": [{}, {"messages": []}, {"messages": [{"role": "nobody"}]}],
    "/v1/completions": [{"prompt": 5}, {"prompt": "x", "max_tokens": 0}],
    "/v1/messages": [{"messages": "x"}],
    "/detokenize": [{"tokens": [-1]}],
}


def validator(path: str) -> Any:
    """Return the validator of the bodies for a path."""
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_body_has_examples() -> None:
    assert set(VALID) == set(BODIES)


@pytest.mark.parametrize("path", VALID)
def test_valid_requests_are_valid(path: str) -> None:
    for body in VALID[path]:
        assert [error.message for error in validator(path).iter_errors(body)] == []


@pytest.mark.parametrize("path", INVALID)
def test_invalid_requests_are_invalid(path: str) -> None:
    for body in INVALID[path]:
        assert not validator(path).is_valid(body), body
