"""The application: which endpoint answers which path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import llama_endpoints as llama
from . import openai_endpoints as openai_api
from . import other_endpoints as other
from .api_error import ApiError, api_error
from .metrics import CLIENT_CLOSED_REQUEST, PATH, MetricsMiddleware
from .openapi import openapi_document
from .responding import error_response
from .security import AccessRules, SecurityMiddleware
from .server_state import ServerState

Endpoint = Callable[[ServerState, Request], Awaitable[Any]]


async def describe(state: ServerState, request: Request) -> Response:
    """Describe the server as an OpenAPI document."""
    return JSONResponse(openapi_document(ENDPOINTS))


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "/health"): llama.health,
    ("GET", "/openapi.json"): describe,
    ("GET", "/v1/health"): llama.health,
    ("GET", "/v1/models"): openai_api.list_models,
    ("GET", "/v1/models/{model:path}"): openai_api.show_model,
    ("POST", "/v1/chat/completions"): openai_api.create_chat_completion,
    ("POST", "/v1/completions"): openai_api.create_completion,
    ("POST", "/v1/responses"): openai_api.create_response,
    ("POST", "/v1/messages"): other.create_message,
    ("POST", "/v1/messages/count_tokens"): other.count_message_tokens,
    ("POST", "/apply-template"): llama.apply_template,
    ("POST", "/tokenize"): llama.tokenize_text,
    ("POST", "/detokenize"): llama.detokenize_tokens,
    ("GET", "/props"): llama.properties,
    ("GET", "/slots"): llama.slots,
    ("GET", "/metrics"): llama.metrics,
    ("POST", "/api/chat"): other.ollama_chat,
    ("GET", "/api/tags"): other.ollama_tags,
    ("POST", "/api/show"): other.ollama_show,
    ("GET", "/api/version"): other.ollama_version,
}

ALIASES: Mapping[str, str] = {
    path.removeprefix("/v1"): path
    for path in ("/v1/chat/completions", "/v1/models", "/v1/responses")
}
"""Paths that llama-server has without the version too; some clients use them."""


def build_app(state: ServerState, rules: AccessRules) -> Starlette:
    """Return the ASGI application."""
    return Starlette(
        routes=[
            Route(shown, partial(_answer, endpoint, state, path), methods=[method])
            for (method, path), endpoint in ENDPOINTS.items()
            for shown in (path, *(other for other, known in ALIASES.items() if known == path))
        ],
        middleware=[
            Middleware(
                MetricsMiddleware, metrics=state.metrics, paths={path for _, path in ENDPOINTS}
            ),
            Middleware(SecurityMiddleware, rules=rules),
        ],
        exception_handlers={HTTPException: _http_error},
    )


async def _answer(endpoint: Endpoint, state: ServerState, path: str, request: Request) -> Any:
    """Call an endpoint, and turn its errors into responses."""
    request.scope[PATH] = path
    try:
        return await endpoint(state, request)
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except Exception as error:
        return _error(path, api_error(error))


def _error(path: str, error: ApiError) -> Response:
    """Return an error in the form of the API that the path belongs to."""
    for beginning, form in other.ERROR_FORMS.items():
        if path.startswith(beginning):
            answer: Response = form(error)
            return answer
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}."
    return _error(request.url.path, ApiError(message, status=error.status_code))
